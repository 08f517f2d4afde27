/** Which of many has most of something that changes by one at a time; every call costs the same, however many there are. */
export class Ranks<Member> {
  readonly #byCount = new Map<number, Set<Member>>();
  #most = 0;

  /** The member had one less, or one more. */
  moved(member: Member, from: number, to: number): void {
    const left = this.#byCount.get(from);
    left?.delete(member);
    if (left?.size === 0) this.#byCount.delete(from);
    if (to > 0) {
      const joined = this.#byCount.get(to);
      if (joined) joined.add(member);
      else this.#byCount.set(to, new Set([member]));
    }
    if (to > this.#most) this.#most = to;
    // The member itself is one lower at most.
    else if (!this.#byCount.has(this.#most)) this.#most = Math.max(to, 0);
  }

  /** One of those that have most; undefined when nobody has any. */
  top(): Member | undefined {
    const [first] = this.#byCount.get(this.#most) ?? [];
    return first;
  }
}
