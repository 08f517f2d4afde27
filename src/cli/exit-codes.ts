interface ExitCode {
  readonly code: number;
  readonly meaning: string;
}

/** How the program ends; help and the reference page show this table. */
export const EXIT: Readonly<Record<'ok' | 'failed' | 'changes' | 'usage' | 'interrupted', ExitCode>> = {
  ok: { code: 0, meaning: 'Done; the controller was told to stop and stopped in order.' },
  failed: {
    code: 1,
    meaning:
      'Something failed, the controller lost its Lease, or `ballast plan --exit-code` cannot tell; the output or the ' +
      'log says what.',
  },
  changes: { code: 2, meaning: '`ballast plan --exit-code` found something to do.' },
  usage: { code: 64, meaning: 'The command line or the configuration is wrong; nothing was done.' },
  interrupted: { code: 130, meaning: 'A second signal ended the controller at once (143 for SIGTERM).' },
};
