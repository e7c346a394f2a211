/**
 * The shell: header, navigation, one page at a time.
 *
 * A page is a module in pages/ with
 *   export const title = "Pairs";                     // or a function of the context
 *   export async function render(context) { return element; }
 *   export function update(context) { ... }           // optional: only the query of the address changed
 *   export function dispose() { ... }                 // optional
 * and context = {
 *   run,                                  // the run's key, or undefined on "/" and "/compare"
 *   params, query,                        // parts of the path by name; URLSearchParams
 *   api(path, {body}),                    // JSON; a path without "/" at its beginning is below /api/runs/{run}/; body: POST
 *   href(path, query),                    // address of a page of this run: href("/queries", {state: "ok"})
 *   navigate(address, {replace}),         // show another page
 *   setQuery({name: value}, {replace}),   // the same page with other parameters; null removes one
 *   subscribe(event, listener),           // "overview" and "reviews" of this run; ends with the page
 *   keys({j: [action, "next"]}),          // shortcuts; end with the page
 *   signal,                               // aborted when the page is left
 *   say(text),                            // for screen readers
 *   retry(),                              // draw the page again
 * }
 */
import { call } from "./api.js";
import { dialog, errorState, icon, iconButton, keyList, page, skeleton } from "./components.js";
import { h, replace } from "./dom.js";
import { Keys } from "./keys.js";
import { Live } from "./live.js";
import { address, match, SECTIONS } from "./router.js";

const THEMES = ["system", "light", "dark"];
const keys = new Keys();
const main = h("main", { id: "main", tabindex: -1 });
const nav = h("nav", { class: "sections", "aria-label": "Pages of the run" });
const where = h("div", { class: "where" });
const status = h("span", { class: "live", role: "status" });
const spoken = h("div", { class: "unseen", "aria-live": "polite" });
let shown = null; // the page on the screen: {module, page, path, context, undo, abort}
let live = null;
let runs = [];

start();

function start() {
  const header = h("header", { class: "bar" }, h("a", { class: "mark", href: "/" }, icon("mark"), h("span", null, "Syphus")), where,
    h("span", { class: "space" }), status, themeButton(), iconButton("keyboard", "Keyboard shortcuts", showKeys));
  replace(document.getElementById("app"), header, h("div", { class: "frame" }, nav, main), spoken,
    h("div", { id: "toasts", role: "region", "aria-label": "Messages" }));
  keys.add({ "?": [showKeys, "show these shortcuts"], ...Object.fromEntries(SECTIONS.map(([path, label, key]) => [
    `g ${key}`, [() => shown?.context.run && navigate(`/runs/${shown.context.run}${path}`), `go to ${label}`]])) });
  document.addEventListener("click", follow);
  window.addEventListener("popstate", (event) => show({ scroll: event.state?.scroll || 0 }));
  history.scrollRestoration = "manual";
  show({ scroll: 0 });
}

function follow(event) {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || link.target || link.hasAttribute("download") || !match(url.pathname)) return;
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  navigate(url.pathname + url.search + url.hash);
}

function navigate(to, { replace: instead = false } = {}) {
  history.replaceState({ scroll: window.scrollY }, "");
  history[instead ? "replaceState" : "pushState"]({}, "", to);
  return show({ scroll: instead ? null : 0 });
}

/** Show the page of the address. `scroll` is where to; null keeps the place. */
async function show({ scroll }) {
  const found = match(location.pathname);
  const query = new URLSearchParams(location.search);
  if (shown && found && shown.path === location.pathname && shown.module?.update) {
    shown.context.query = query;
    await shown.module.update(shown.context);
    if (scroll) window.scrollTo(0, scroll);
    return;
  }
  leave();
  if (!found) {
    replace(main, errorState("There is no page at this address.", null, h("a", { class: "button", href: "/" }, "All runs")));
    return;
  }
  const current = { page: found.page, path: location.pathname, undo: [], abort: new AbortController(), module: null };
  shown = current;
  current.context = contextOf(found.params, query, current);
  showRun(found.params.run);
  const waiting = setTimeout(() => shown === current && replace(main, skeleton()), 120);
  let element;
  try {
    current.module = await import(`./pages/${found.page}.js`);
    const { title } = current.module;
    current.title = typeof title === "function" ? title(current.context) : title;
    element = await current.module.render(current.context);
  } catch (error) {
    if (error.name === "AbortError") return;
    console.warn(error);
    element = errorState(error.message, current.context.retry);
  } finally {
    clearTimeout(waiting);
  }
  if (shown !== current) return;
  setTitle();
  // Every page has one heading, also one that has nothing to show.
  replace(main, element.querySelector("h1") ? element : page(current.title, {}, element));
  if (scroll !== null) {
    if (location.hash.length > 1) document.getElementById(location.hash.slice(1))?.scrollIntoView();
    else window.scrollTo(0, scroll);
    if (current.moved) main.focus({ preventScroll: true });
  }
}

function leave() {
  if (!shown) return;
  shown.abort.abort();
  shown.undo.forEach((undo) => undo());
  shown.module?.dispose?.();
  shown = null;
}

function contextOf(params, query, current) {
  const run = params.run;
  const base = run && `/runs/${encodeURIComponent(run)}`;
  current.moved = Boolean(document.activeElement && document.activeElement !== document.body);
  return {
    run, params, query, navigate,
    signal: current.abort.signal,
    api: (path, options = {}) => call(path.startsWith("/") ? path : `/api${base}/${path}`, { signal: current.abort.signal, ...options }),
    href: (path = "", parameters = {}) => address(`${base}${path}`, parameters),
    setQuery: (changes, options) => {
      const next = new URLSearchParams(location.search);
      for (const [name, value] of Object.entries(changes)) {
        if (value === null || value === undefined || value === "") next.delete(name);
        else next.set(name, value);
      }
      return navigate(address(location.pathname, next), options);
    },
    subscribe: (event, listener) => {
      const undo = live ? live.subscribe(event, listener) : () => {};
      current.undo.push(undo);
      return undo;
    },
    keys: (bindings) => {
      const undo = keys.add(bindings);
      current.undo.push(undo);
      return undo;
    },
    say: (text) => replace(spoken, text),
    retry: () => {
      leave();
      return show({ scroll: null });
    },
  };
}

/** Show which run this is, its navigation and its live events; or none of it. */
function showRun(run) {
  if (live && live.run !== run) {
    live.close();
    live = null;
    replace(status);
  }
  if (run && !live) {
    live = new Live(run, showStatus);
    live.subscribe("overview", (overview) => nameRun(overview));
    loadRuns();
  }
  document.body.classList.toggle("has-run", Boolean(run));
  const path = location.pathname;
  replace(nav, run && SECTIONS.map(([below, label]) => {
    const target = `/runs/${encodeURIComponent(run)}${below}`;
    const here = below ? path === target || path.startsWith(`${target}/`) : path === target;
    return h("a", { href: target, "aria-current": here && "page" }, label);
  }));
  nav.hidden = !run;
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  drawRunName(run);
}

async function loadRuns() {
  try {
    runs = (await call("/api/runs")).runs;
  } catch {
    return; // the page itself says what is wrong
  }
  drawRunName(shown?.context.run);
}

function nameRun(overview) {
  const known = runs.find(({ key }) => key === overview.key);
  if (known && known.name === overview.name) return;
  runs = [...runs.filter(({ key }) => key !== overview.key), { key: overview.key, name: overview.name }];
  drawRunName(shown?.context.run);
}

function drawRunName(run) {
  const known = runs.find(({ key }) => key === run);
  setTitle();
  if (!run || !known) return void replace(where);
  if (runs.length < 2) return void replace(where, h("span", { class: "name", title: known.name }, known.name));
  const choose = h("select", { "aria-label": "Run", onchange: (event) => navigate(location.pathname.replace(/^\/runs\/[^/]+/, `/runs/${event.target.value}`).replace(/\/queries\/.*/, "/queries")) },
    runs.map(({ key, name }) => h("option", { value: key, selected: key === run }, name)));
  replace(where, choose);
}

function setTitle() {
  const name = runs.find(({ key }) => key === shown?.context.run)?.name;
  document.title = [shown?.title, name, "Syphus"].filter(Boolean).join(" · ");
}

function showStatus(state) {
  const texts = { live: "Live", waiting: "Not connected" };
  status.dataset.state = state;
  if (status.textContent !== texts[state]) replace(status, texts[state]);
}

function themeButton() {
  const current = () => document.documentElement.dataset.theme || "system";
  const button = iconButton("theme", `Theme: ${current()}`, () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("syphus-theme", next);
    } catch {
      // It holds for this page, then.
    }
    button.title = `Theme: ${next}`;
    button.setAttribute("aria-label", `Theme: ${next}`);
    replace(spoken, `Theme: ${next}`);
  });
  return button;
}

function showKeys() {
  const box = h("input", { type: "checkbox", checked: keys.on, onchange: (event) => { keys.on = event.target.checked; } });
  dialog({ title: "Keyboard shortcuts", body: [keyList(keys.list()), h("label", { class: "check" }, box, "Single-key shortcuts are on")] });
}
