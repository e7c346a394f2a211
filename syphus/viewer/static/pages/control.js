/** Steer a run while it works: threads, limits, budget, pause and stop; and what was changed, when and by whom. */
import { ask, button, card, chip, empty, facts, field, page, table, toast, words } from "../components.js";
import { h } from "../dom.js";
import { date, money, number } from "../format.js";

export const title = "Control";

const FIELDS = [
  ["threads", "Threads", "Requests in flight at most", 1, 1],
  ["rpm", "Requests per minute", "At each endpoint; empty for no limit", 1, "any"],
  ["tpm", "Tokens per minute", "At each endpoint; empty for no limit", 1, "any"],
  ["max_cost", "Budget in dollars", "Over all sessions; empty for no limit", 0, "any"],
  ["max_requests", "Budget in requests", "Over all sessions; empty for no limit", 0, 1],
];

let timer = null;

export async function render(context) {
  const box = h("div");
  let shown = "";
  const draw = (state) => {
    const key = JSON.stringify([state.working, state.settings, state.changes.length]);
    if (key === shown || (shown && box.querySelector("form")?.contains(document.activeElement))) return;
    shown = key;
    box.replaceChildren(content(state, context, (changed) => {
      shown = "";
      draw(changed);
    }));
  };
  draw(await context.api("control"));
  timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      draw(await context.api("control"));
    } catch {
      // The next one may come; the header says whether the viewer answers.
    }
  }, 2000);
  context.keys({ p: [() => box.querySelector("[data-pause]")?.click(), "pause or resume"] });
  return box;
}

export function dispose() {
  clearInterval(timer);
}

function content(state, context, draw) {
  const send = async (body, said) => {
    try {
      const changed = await context.api("control", { body });
      toast(changed.waiting ? "The run takes the change as soon as it asks a model again." : said || changed.applied.join(", "));
      draw(changed);
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message, { kind: "bad" });
    }
  };
  const { settings, working } = state;
  return page("Control", { note: note(state), actions: working && settings && actions(settings, send) },
    !settings && empty("No settings yet", working ? "They appear once the run asks a model." : "An earlier version made this run."),
    settings && working && card("Settings in force", form(settings, state.given, send)),
    settings && !working && card("Settings of the last session", facts(FIELDS.map(([name, label]) => [label, shownValue(name, settings[name])])),
      h("p", { class: "note" }, "No process works on this run. Its next start takes the options of its command.")),
    card("What was changed", table({ caption: "Changes, the newest first", rows: state.changes, empty: "Nothing was changed while this run worked.", columns: [
      { label: "When", cell: ({ at }) => h("span", { class: "nowrap" }, date(at)) },
      { label: "Who", cell: ({ who }) => who },
      { label: "What", wide: true, cell: ({ text }) => text },
    ] })));
}

function note({ working, process, settings }) {
  if (!working) return "not working";
  return [process ? `process ${process.pid} on ${process.host}` : "working", settings?.paused && "paused: nothing is sent"].filter(Boolean).join(" · ");
}

function actions(settings, send) {
  const pause = button(settings.paused ? "Resume" : "Pause", { key: "p", kind: settings.paused ? "primary" : undefined, onclick: () => send({ paused: !settings.paused }) });
  pause.dataset.pause = "";
  const stop = async () => {
    if (await ask("The run sends nothing more, waits for the requests in flight, and saves them. Its command goes on from there later.", "Stop the run", { kind: "danger", title: "Stop this run?" })) await send({ stop: true }, "The run stops.");
  };
  return [settings.paused && chip("paused", { kind: "warn" }), pause, button("Stop", { kind: "danger", onclick: stop })];
}

function form(settings, given, send) {
  const inputs = {};
  const fields = FIELDS.map(([name, label, hint, least, step]) => {
    const own = given && given[name] !== settings[name] ? ` (its command: ${shownValue(name, given[name])})` : "";
    inputs[name] = h("input", { type: "number", name, min: least, step, inputmode: "decimal", value: settings[name] ?? "", required: name === "threads" });
    return field(label, inputs[name], hint + own);
  });
  const submit = (event) => {
    event.preventDefault();
    const changed = {};
    for (const [name] of FIELDS) {
      const text = inputs[name].value.trim();
      const value = text === "" ? null : Number(text);
      if (value !== (settings[name] ?? null)) changed[name] = value;
    }
    if (Object.keys(changed).length) {
      document.activeElement?.blur();
      send(changed);
    } else toast("Nothing was changed.");
  };
  return h("form", { class: "stack", onsubmit: submit }, h("div", { class: "filters" }, fields),
    h("div", { class: "actions" }, button("Apply", { kind: "primary", type: "submit" })));
}

function shownValue(name, value) {
  if (value === null || value === undefined) return "none";
  return name === "max_cost" ? money(value) : number(value, Number.isInteger(value) ? 0 : 2) || words(name);
}
