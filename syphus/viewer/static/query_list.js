/** The list that somebody came from, so that a query's page can go to its neighbours. */
let kept = null; // {run, filters: {name: value}, numbers: [n], next: cursor or null}

/** Keep the rows of a page of the list. */
export function remember(run, filters, found) {
  kept = { run, filters, numbers: found.rows.map(({ n }) => n), next: found.next, previous: found.previous };
}

/**
 * Return the number of the query before (-1) or after (1) query `n`, or null. At the end of the list the next page of
 * it is asked for. Without a list, these are the rows before and after in the input: {previous, next}.
 */
export async function neighbour(context, n, step, inInput) {
  const carried = Object.fromEntries(context.query);
  const same = kept && kept.run === context.run && JSON.stringify(kept.filters) === JSON.stringify(carried);
  const at = same ? kept.numbers.indexOf(n) : -1;
  if (at < 0) return (step > 0 ? inInput?.next : inInput?.previous) ?? null;
  if (kept.numbers[at + step] !== undefined) return kept.numbers[at + step];
  const edge = step > 0 ? "after" : "before";
  const cursor = step > 0 ? kept.next : kept.previous;
  if (!cursor) return null;
  const found = await context.api(`queries?${new URLSearchParams({ ...carried, [edge]: cursor, limit: 50 })}`);
  if (!found.rows.length) return null;
  remember(context.run, carried, found);
  return found.rows.at(step > 0 ? 0 : -1).n;
}
