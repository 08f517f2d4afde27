/** One program that the tests need, and the ways to get it. The control plane and the lab each keep a table of these. */
export interface BinarySpec {
  /** File name of the program, unique over everything that is resolved together. */
  readonly name: string;
  /** Whose program it is; `<upstream>-<version>` names the cache folder and the lock of a build. */
  readonly upstream: string;
  /** Upstream's version with its `v`: `v1.36.3`. Change it whenever the built file would change. */
  readonly version: string;
  readonly build: GoBuild | CBuild;
  /** Where upstream offers the file itself. Leave it out where no checksum is known. */
  readonly download?: BinaryDownload;
  /** Arguments that make the program print its version, for programs accepted from `KUBEBUILDER_ASSETS`. */
  readonly versionArguments?: readonly string[];
}

/** A Go program built from a module of ours that pins it in go.mod and go.sum. */
export interface GoBuild {
  readonly kind: 'go';
  /** Folder of the pinning module (absolute). */
  readonly module: string;
  /** Import path of the command, or `.` for a command in the module itself. */
  readonly package: string;
  readonly ldflags: string;
  readonly tags?: readonly string[];
  /** Whether the program links C code; false builds a static program. Default false. */
  readonly cgo?: boolean;
  /** More environment for `go build`, asked for only when a build is needed: `PKG_CONFIG_PATH`, for example. */
  readonly env?: () => Promise<Readonly<Record<string, string>>>;
  readonly seconds: BuildSeconds;
}

/** A C program out of the sources of a Go module, built with `cc`. */
export interface CBuild {
  readonly kind: 'c';
  /** Folder of the module of ours (absolute) that pins the module with the sources. */
  readonly module: string;
  /** The Go module with the sources: `k8s.io/kubernetes`. */
  readonly sourceModule: string;
  /** The source file, relative to that module. */
  readonly sourceFile: string;
  /** Arguments of the compiler, without `-o` and the source. */
  readonly flags: readonly string[];
  readonly seconds: BuildSeconds;
}

/**
 * On two cores, with the modules already fetched; the estimates that people see are sums of these. Measured and
 * rounded up for the order of the table: `cold` of its first program, `warm` of the others. The rest are guesses.
 */
export interface BuildSeconds {
  /** When the compiler's cache knows nothing of this upstream. */
  readonly cold: number;
  /** When another program of this upstream was built before, so that most packages are compiled already. */
  readonly warm: number;
}

export interface BinaryDownload {
  /** The address of the program, or of a gzipped tar archive with it, for a platform. */
  readonly url: (platform: Platform) => string;
  /** For an archive: the path of the program in it. */
  readonly archiveMember?: (platform: Platform) => string;
  /** SHA-256 of what lies at the address, lower-case hex, by platform name (`linux-amd64`); none: no download. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** Operating system and processor by Go's names. */
export interface Platform {
  readonly os: string;
  readonly arch: string;
}

/** The platform of this process; Node's `x64` is Go's `amd64`. */
export function thisPlatform(): Platform {
  return { os: process.platform, arch: process.arch === 'x64' ? 'amd64' : process.arch };
}

/** `linux-amd64`. */
export function platformName(platform: Platform): string {
  return `${platform.os}-${platform.arch}`;
}
