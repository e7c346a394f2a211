/** Which page an address shows, and addresses of pages. */

/** Address pattern -> module in pages/. `:name` is one part of the path. */
const ROUTES = [
  ["/", "overview"],
  ["/compare", "comparison"],
  ["/runs/:run", "overview"],
  ["/runs/:run/queries", "queries"],
  ["/runs/:run/queries/:n", "query"],
  ["/runs/:run/pairs", "pairs"],
  ["/runs/:run/review", "review"],
  ["/runs/:run/worth", "worth"],
  ["/runs/:run/cold-start", "cold_start"],
  ["/runs/:run/translation", "translation"],
  ["/runs/:run/statistics", "statistics"],
  ["/runs/:run/control", "control"],
];

/** Links of a run's navigation: [path below the run, label, key after "g"]. */
export const SECTIONS = [
  ["", "Overview", "o"],
  ["/queries", "Queries", "q"],
  ["/pairs", "Pairs", "p"],
  ["/review", "Review", "r"],
  ["/worth", "Rules", "w"],
  ["/statistics", "Statistics", "s"],
  ["/translation", "Translation", "t"],
  ["/cold-start", "Cold start", "e"],
  ["/control", "Control", "c"],
];

/** Return {page, params} of a path, or null if no page has it. */
export function match(pathname) {
  const parts = split(pathname);
  for (const [pattern, page] of ROUTES) {
    const names = split(pattern);
    if (names.length !== parts.length) continue;
    const params = {};
    const fits = names.every((name, at) => {
      if (name.startsWith(":")) params[name.slice(1)] = parts[at];
      return name.startsWith(":") || name === parts[at];
    });
    if (fits) return { page, params };
  }
  return null;
}

function split(path) {
  return path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

/** Return a path with query parameters; empty ones are left out. `address("/runs/x/queries", {state: "ok"})`. */
export function address(path, query = {}) {
  const entries = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const kept = entries.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  const search = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return search ? `${path}?${search}` : path;
}
