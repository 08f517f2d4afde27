/**
 * The passing of time, so that tests can turn the hands. It has the shape of the controller's own clock, which a
 * provider may not import.
 */
export interface Clock {
  /** Milliseconds that never run backwards; only differences mean anything. */
  now(): number;
  /** Calls back once after `delayMs`; the returned function cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The real clock. Every delay of this provider is below the 2³¹ ms that a timer can take. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
