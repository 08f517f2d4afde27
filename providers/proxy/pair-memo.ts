/**
 * Remembers what a pure function gave for two objects, for as long as both live. What thousands of load balancers ask
 * about the same two sets of nodes is then computed once.
 */
export function pairMemo<A extends object, B extends object, R>(compute: (a: A, b: B) => R): (a: A, b: B) => R {
  const results = new WeakMap<A, WeakMap<B, { readonly result: R }>>();
  return (a, b) => {
    let own = results.get(a);
    if (!own) results.set(a, (own = new WeakMap()));
    let known = own.get(b);
    if (!known) own.set(b, (known = { result: compute(a, b) }));
    return known.result;
  };
}
