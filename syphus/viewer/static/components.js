/**
 * The parts that pages are made of. Each function returns an element; style.css has their look.
 *
 *   page(title, {note, actions}, ...children)      a page with its one <h1>
 *   card(title, ...children), section(title, ...)  a box; a heading with what belongs to it
 *   stats([{label, value, note, href}])            figures side by side
 *   stateBar(counts, {href}), states(counts)       the states of rows as one bar with a legend that adds up
 *   meter(share, label), interval(low, mid, high)  a thin bar; an estimate with its 95% interval
 *   columns([{label, value}]), sparkline(values)   a histogram; how a number went
 *   table({caption, columns, rows, href, empty})   columns: [{label, cell(row), numeric, wide}]
 *   facts([[name, value]], {sums})                 names and values; sums: numbers at the right
 *   stateChip(state), chip(text, {kind, href})     kind: ok, warn, bad, quiet, accent
 *   button(label, {onclick, kind, key, disabled})  kind: primary, quiet, danger; iconButton(icon, label, onclick)
 *   field(label, input, hint), select(options, value, onchange), search(value, onchange), segments(options, value, onchange)
 *   filters(...fields), pager({previous, next, note})
 *   tabs([{label, content()}])                     panels, one at a time
 *   prose(text, {marks, lang})                     a text with its lines; marks: [[start, end, title]]
 *   why(reason, detail)                            why something fell, in one line
 *   plain(value)                                   any JSON value for people
 *   code(text), more(summary, ...children)         monospace; something to open
 *   pictures(images, {open}), filmstrip(frames)    images: [{url, name, seconds, kind}]
 *   toast(text, {kind, action}), dialog({title, body, actions}), ask(question, verb)
 *   skeleton(), empty(title, text, action), errorState(text, retry), kbd(key), keyList(list), live(text)
 */
import { h, nodes, replace, svg } from "./dom.js";
import { clock, number, plural, share } from "./format.js";

export const STATES = ["ok", "invalid", "truncated", "refused", "failed", "pending"];

const PATHS = {
  mark: "M17 8.2c-.8-1.6-2.5-2.4-4.5-2.4-2.6 0-4.5 1.3-4.5 3.3 0 4.7 9.1 2.1 9.1 6.3 0 2.1-2 3.3-4.6 3.3-2.3 0-4.1-.9-4.9-2.6",
  theme: "M12 4.5a7.5 7.5 0 1 0 0 15zM12 4.5a7.5 7.5 0 0 1 0 15",
  keyboard: "M3.5 7h17v10h-17zM7 10h.01M10.3 10h.01M13.7 10h.01M17 10h.01M7.5 14h9",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  search: "M10.5 5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11zM14.7 14.7L19 19",
  check: "M5.5 12.5l4.2 4.2 8.8-9.4",
};

/** A drawing from the set above, hidden from screen readers. */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true", focusable: "false" }, svg("path", { d: PATHS[name] }));
}

export function page(title, { note, actions, wide } = {}, ...children) {
  return h("div", { class: wide ? "page wide" : "page" },
    h("div", { class: "page-head" }, h("div", null, h("h1", null, title), note && h("p", { class: "note" }, note)),
      actions && h("div", { class: "actions" }, actions)),
    children);
}

export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", null, title), children);
}

export function section(title, ...children) {
  return h("section", { class: "section" }, h("h2", null, title), children);
}

export function stats(list) {
  return h("dl", { class: "stats" }, list.filter(Boolean).map(({ label, value, note, href, kind }) =>
    h("div", { class: "stat", dataset: kind ? { kind } : {} }, h("dt", null, label),
      h("dd", null, href ? h("a", { href }, value) : value), note && h("dd", { class: "note" }, note))));
}

/** `href(state)` may return the address of the rows of a state. */
export function stateBar(counts, { href } = {}) {
  const total = sum(counts);
  const label = STATES.filter((state) => counts[state]).map((state) => `${number(counts[state])} ${state}`).join(", ");
  return h("div", { class: "state-bar" },
    h("div", { class: "track", role: "img", "aria-label": label || "no rows" }, STATES.filter((state) => counts[state]).map((state) =>
      h("span", { dataset: { state }, title: `${number(counts[state])} ${state}`, style: { "flex-grow": counts[state] / total } }))),
    states(counts, { href }));
}

/** The legend of a state bar: every state with its count and share, and their sum. */
export function states(counts, { href } = {}) {
  const total = sum(counts);
  return h("ul", { class: "legend" },
    STATES.filter((state) => state in counts).map((state) => {
      const inner = [h("i", { class: "dot", dataset: { state } }), h("span", null, state), h("b", null, number(counts[state])),
        h("span", { class: "share" }, total && counts[state] ? share(counts[state] / total) : "")];
      return h("li", { class: counts[state] ? null : "none" }, href && counts[state] ? h("a", { href: href(state) }, inner) : h("span", null, inner));
    }),
    h("li", { class: "sum" }, h("span", null, h("span", null, "total"), h("b", null, number(total)))));
}

function sum(counts) {
  return STATES.reduce((total, state) => total + (counts[state] || 0), 0);
}

export function meter(part, label, { kind } = {}) {
  return h("span", { class: "meter", role: "img", "aria-label": label || share(part), dataset: kind ? { kind } : {} },
    h("span", { style: { width: `${Math.max(0, Math.min(1, part || 0)) * 100}%` } }));
}

/** An estimate between 0 and 1 with its interval. */
export function interval(low, mid, high) {
  const label = `${share(mid)}, 95% interval ${share(low)} to ${share(high)}`;
  return h("span", { class: "interval", role: "img", "aria-label": label, title: label },
    h("span", { class: "range", style: { left: `${low * 100}%`, width: `${(high - low) * 100}%` } }),
    h("span", { class: "point", style: { left: `${mid * 100}%` } }));
}

export function columns(list, { label } = {}) {
  const top = Math.max(1, ...list.map(({ value }) => value));
  return h("ol", { class: "columns", "aria-label": label }, list.map(({ label: name, value }) =>
    h("li", { title: `${name}: ${number(value)}` }, h("span", { class: "column", style: { height: `${(value / top) * 100}%` } }),
      h("span", { class: "tick" }, name), h("span", { class: "unseen" }, number(value)))));
}

/** How a number went, as a line without axes. `values` are evenly spaced; `label` says what it shows. */
export function sparkline(values, { label } = {}) {
  if (values.length < 2) return null;
  const top = Math.max(...values) || 1;
  const points = values.map((value, at) => `${((at / (values.length - 1)) * 300).toFixed(1)},${(38 - (value / top) * 36).toFixed(1)}`);
  return svg("svg", { class: "sparkline", viewBox: "0 0 300 40", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("polygon", { points: `0,40 ${points.join(" ")} 300,40` }), svg("polyline", { points: points.join(" ") }));
}

/**
 * `columns` are {label, cell(row, index), numeric, wide, quiet}. With `href(row)`, the first column is a link and the
 * whole row follows it. The table scrolls in its own box where it is too wide.
 */
export function table({ caption, columns: heads, rows, href, empty: nothing = "Nothing here yet." }) {
  if (!rows.length) return h("p", { class: "note" }, nothing);
  const kind = (head) => [head.numeric && "numeric", head.wide && "wide", head.quiet && "quiet"].filter(Boolean).join(" ") || null;
  return h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 },
    h("table", null, h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col", class: kind(head) }, head.label)))),
      h("tbody", null, rows.map((row, index) => {
        const to = href && href(row);
        return h("tr", { class: to && "linked", onclick: to && ((event) => event.target.closest("a, button, input") || event.currentTarget.querySelector("a").click()) },
          heads.map((head, at) => {
            const content = head.cell(row, index);
            return h("td", { class: kind(head) }, to && at === 0 ? h("a", { href: to }, content) : content);
          }));
      }))));
}

export function facts(list, { sums } = {}) {
  return h("dl", { class: sums ? "facts sums" : "facts" }, list.filter(Boolean).map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

export function stateChip(state) {
  return h("span", { class: "chip state", dataset: { state } }, h("i", { class: "dot", dataset: { state } }), state);
}

export function chip(text, { kind = "quiet", href, title } = {}) {
  return h(href ? "a" : "span", { class: "chip", dataset: { kind }, href, title }, text);
}

export function button(label, { onclick, kind, key, disabled, href, title, type = "button" } = {}) {
  const inner = [label, key && kbd(key)];
  const shared = { class: "button", dataset: kind ? { kind } : {}, title, "aria-keyshortcuts": key };
  return href ? h("a", { ...shared, href }, inner) : h("button", { ...shared, type, onclick, disabled }, inner);
}

export function iconButton(name, label, onclick) {
  return h("button", { class: "icon-button", type: "button", title: label, "aria-label": label, onclick }, icon(name));
}

/** A label with its control; the hint below belongs to it for screen readers, too. */
export function field(label, input, hint) {
  const described = hint && h("span", { class: "hint" }, hint);
  return h("label", { class: "field" }, h("span", { class: "label" }, label), input, described);
}

/** Options are values, or [value, label]. */
export function select(options, value, onchange, { label } = {}) {
  return h("select", { "aria-label": label, onchange: (event) => onchange(event.target.value) },
    options.map((option) => {
      const [key, text] = Array.isArray(option) ? option : [option, option];
      return h("option", { value: key, selected: key === (value ?? "") }, text);
    }));
}

/** A text field that calls `onchange` when typing has paused, or on Enter. */
export function search(value, onchange, { label = "Search", placeholder = label, wait = 300 } = {}) {
  let timer = null;
  let sent = value || "";
  const send = (text) => {
    clearTimeout(timer);
    if (text !== sent) onchange((sent = text));
  };
  const input = h("input", {
    type: "search", value: value || "", placeholder, "aria-label": label, autocomplete: "off", spellcheck: "false", dir: "auto",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => send(input.value.trim()), wait);
    },
    onkeydown: (event) => {
      if (event.key === "Enter") send(input.value.trim());
      else if (event.key === "Escape") input.blur();
    },
  });
  return h("span", { class: "search" }, icon("search"), input);
}

/** A few choices side by side, one of them taken. Options are [value, label]. */
export function segments(options, value, onchange, { label } = {}) {
  const group = h("div", { class: "segments", role: "group", "aria-label": label });
  const draw = (taken) => replace(group, options.map(([key, text]) => h("button", {
    type: "button", "aria-pressed": String(key === taken),
    onclick: () => {
      draw(key);
      onchange(key);
    } }, text)));
  draw(value);
  return group;
}

export function filters(...fields) {
  return h("div", { class: "filters", role: "search" }, fields);
}

/** `previous` and `next` are addresses, or null where there is no such page. */
export function pager({ previous, next, note }) {
  const link = (to, label, name, rel) => to
    ? h("a", { class: "button", href: to, rel }, rel === "prev" && icon(name), label, rel === "next" && icon(name))
    : h("span", { class: "button", "aria-disabled": "true" }, rel === "prev" && icon(name), label, rel === "next" && icon(name));
  return h("nav", { class: "pager", "aria-label": "Pages of the list" }, link(previous, "Previous", "left", "prev"),
    h("span", { class: "note" }, note), link(next, "Next", "right", "next"));
}

let numbered = 0;

/** Panels, one at a time; arrow keys move between the tabs. `content` is called when its panel is first opened. */
export function tabs(list, { label, open = 0 } = {}) {
  const id = `tabs-${(numbered += 1)}`;
  const panel = h("div", { role: "tabpanel", id: `${id}-panel`, class: "panel" });
  const made = [];
  const heads = list.map((each, at) => h("button", {
    type: "button", role: "tab", id: `${id}-${at}`, "aria-controls": `${id}-panel`, onclick: () => choose(at),
    onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (at + step + list.length) % list.length;
      choose(next);
      heads[next].focus();
    } }, each.label));
  function choose(taken) {
    heads.forEach((head, at) => {
      head.setAttribute("aria-selected", String(at === taken));
      head.tabIndex = at === taken ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", heads[taken].id);
    made[taken] ||= nodes([list[taken].content()]);
    replace(panel, made[taken]);
  }
  choose(open);
  return h("div", { class: "tabs" }, h("div", { role: "tablist", "aria-label": label }, heads), panel);
}

/**
 * A text as it is: its lines, and its direction by its first letter. `marks` are [start, end, title] in characters
 * (Unicode code points, as Python counts them), and are shown marked with their titles.
 */
export function prose(text, { marks = [], lang, tag = "div", mono } = {}) {
  const letters = marks.length ? Array.from(text) : null;
  const parts = [];
  let from = 0;
  for (const [start, end, title] of [...marks].sort((a, b) => a[0] - b[0])) {
    if (end <= start || start < from || end > letters.length) continue; // overlapping marks: the first one is shown
    parts.push(letters.slice(from, start).join(""), h("mark", { title }, letters.slice(start, end).join("")));
    from = end;
  }
  parts.push(letters ? letters.slice(from).join("") : text);
  return h(tag, { class: mono ? "prose mono" : "prose", dir: "auto", lang }, parts);
}

export function code(text) {
  return h("code", { dir: "ltr" }, text);
}

export function more(summary, ...children) {
  return h("details", null, h("summary", null, summary), h("div", { class: "inside" }, children));
}

/** Whether a picture can be asked for: the address is null if there is no store or folder to find it in. */
export const canShow = ({ problem, url }) => !problem && url !== null;

/** Says once that pictures of some queries or pairs can't be looked for, and how to name them; null if they can. */
export function imagesHint(...holders) {
  return holders.some(({ images }) => images?.some(({ url }) => url === null))
    ? h("p", { class: "note images-hint" }, "Pictures are not shown: this run names no image store or folder that is here. Start the viewer with ", code("--images PATH"), ".") : null;
}

/** Pictures in a grid; a click shows one as large as the window allows, and arrow keys show its neighbours. */
export function pictures(images, { large } = {}) {
  if (!images.length) return null;
  return h("ul", { class: large ? "pictures large" : "pictures" }, images.map((image, at) => h("li", null, thumb(images, at))));
}

/** Frames of a video in one row, each with its second. */
export function filmstrip(frames) {
  return h("ul", { class: "filmstrip", tabindex: 0, "aria-label": plural(frames.length, "frame") }, frames.map((frame, at) =>
    h("li", null, thumb(frames, at), h("span", { class: "seconds" }, clock(frame.seconds)))));
}

function thumb(images, at) {
  const image = images[at];
  const name = imageName(image, at);
  const holder = h("button", { type: "button", class: "thumb", "aria-label": `Show ${name} large`, onclick: () => showLarge(images, at) });
  const picture = h("img", {
    src: image.url, alt: name, loading: "lazy", decoding: "async", width: image.width, height: image.height,
    onerror: () => replace(holder, h("span", { class: "missing" }, "no picture")) });
  return replace(holder, picture);
}

function imageName(image, at) {
  return image.name || (image.seconds !== null && image.seconds !== undefined ? `frame at ${clock(image.seconds)}` : `picture ${at + 1}`);
}

function showLarge(images, first) {
  let at = first;
  const body = h("figure", { class: "large" });
  const draw = () => replace(body, h("img", { src: images[at].url, alt: imageName(images[at], at) }),
    h("figcaption", null, imageName(images[at], at), images.length > 1 && ` · ${at + 1} of ${images.length}`));
  const step = (by) => {
    at = (at + by + images.length) % images.length;
    draw();
  };
  draw();
  const opened = dialog({ title: "Picture", body, wide: true, actions: images.length > 1
    ? [iconButton("left", "Previous picture", () => step(-1)), iconButton("right", "Next picture", () => step(1))] : [] });
  opened.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, k: -1, j: 1 }[event.key];
    if (by) step(by);
  });
}

/** A message that goes by itself after some seconds; `action` is {label, onclick}. Errors stay until closed. */
export function toast(text, { kind = "quiet", action, seconds = 6 } = {}) {
  const remove = () => element.remove();
  const element = h("div", { class: "toast", role: kind === "bad" ? "alert" : "status", dataset: { kind } }, h("span", null, text),
    action && button(action.label, { kind: "quiet", onclick: () => {
      remove();
      action.onclick();
    } }), iconButton("close", "Close", remove));
  document.getElementById("toasts").append(element);
  if (kind !== "bad") setTimeout(remove, seconds * 1000);
  return element;
}

/** Open a window over the page; Escape closes it, and the focus goes back. Returns the <dialog>. */
export function dialog({ title, body, actions = [], wide } = {}) {
  const before = document.activeElement;
  const id = `dialog-${(numbered += 1)}`;
  const element = h("dialog", { class: wide ? "wide" : null, "aria-labelledby": id,
    onclick: (event) => event.target === element && element.close(),
    onclose: () => {
      element.remove();
      before?.focus?.();
    } },
  h("div", { class: "dialog-head" }, h("h2", { id }, title), iconButton("close", "Close", () => element.close())),
  h("div", { class: "dialog-body" }, body), actions.length > 0 && h("div", { class: "actions" }, actions));
  document.body.append(element);
  element.showModal();
  return element;
}

/** Ask before something that cannot be taken back. Returns a Promise of true or false. */
export function ask(question, verb, { kind = "primary", title = "Please confirm" } = {}) {
  return new Promise((resolve) => {
    let answer = false;
    const end = (value) => {
      answer = value;
      element.close();
    };
    const element = dialog({ title, body: h("p", null, question), actions: [
      button("Cancel", { onclick: () => end(false) }), button(verb, { kind, onclick: () => end(true) })] });
    element.addEventListener("close", () => resolve(answer));
  });
}

export function skeleton() {
  return h("div", { class: "page", "aria-busy": "true" }, h("p", { class: "unseen" }, "Loading"),
    [40, 100, 100, 70].map((width) => h("div", { class: "bone", style: { width: `${width}%` } })));
}

export function empty(title, text, action) {
  return h("div", { class: "empty" }, h("h2", null, title), text && h("p", null, text), action);
}

export function errorState(text, retry, action) {
  return h("div", { class: "page" }, h("div", { class: "empty", role: "alert" }, h("h1", null, "This did not work"), h("p", null, text),
    retry && button("Try again", { onclick: retry }), action));
}

const KEY_NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "↵", Escape: "Esc", " ": "Space" };

export function kbd(key) {
  return h("kbd", null, KEY_NAMES[key] || key);
}

/** A reason with its detail, once where the detail says it again. */
export function why(reason, detail) {
  if (!reason || !detail) return reason || detail || "";
  return detail.includes(reason) ? detail : `${reason} · ${detail}`;
}

/** Any JSON value for people: objects as names and values, lists as lines. */
export function plain(value) {
  if (value === null || value === undefined || value === "") return h("span", { class: "muted" }, "–");
  if (typeof value === "number") return Number.isInteger(value) ? number(value) : String(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length ? h("ul", null, value.map((each) => h("li", null, plain(each)))) : plain(null);
  if (typeof value === "object") return facts(Object.entries(value).map(([name, each]) => [words(name), plain(each)]));
  return prose(value, { tag: "span" });
}

/** "max_tokens" -> "max tokens". */
export function words(name) {
  return name.replaceAll("_", " ");
}

/** Shortcuts with what they do: [{key, label}]. */
export function keyList(list) {
  return h("dl", { class: "keys" }, list.map(({ key, label }) => [h("dt", null, key === " " ? kbd(key) : key.split(" ").map(kbd)), h("dd", null, label)]));
}

/** One quiet line of shortcuts below a list. */
export function keyHints(list) {
  return h("p", { class: "key-hints", "aria-hidden": "true" }, list.map(([key, label]) => h("span", null, kbd(key), ` ${label}`)));
}

/** A text that screen readers speak when it changes. */
export function live(text) {
  return h("p", { class: "note", role: "status" }, text);
}
