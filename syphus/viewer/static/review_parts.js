/** What the pages for reviewers share: who reviews, what is not saved yet, and how a pair looks beside its images. */
import { ApiError, call } from "./api.js";
import { canShow, card, chip, code, filmstrip, imagesHint, more, pictures, prose, stateChip } from "./components.js";
import { h } from "./dom.js";
import { languageName, plural } from "./format.js";

const NAME = "syphus-reviewer";
const AGAIN = 3000; // milliseconds after which an unsaved decision is sent again

/** Return the reviewer's name on this browser, "" if none was given yet. */
export function reviewer() {
  try {
    return localStorage.getItem(NAME) || "";
  } catch {
    return reviewer.here || "";
  }
}

export function setReviewer(name) {
  reviewer.here = name.trim().replace(/\s+/g, " ").slice(0, 80);
  try {
    localStorage.setItem(NAME, reviewer.here);
  } catch {
    // It holds for this page, then.
  }
}

/**
 * Decisions on their way to the viewer, in their order. They are kept in the browser until they are saved, so a closed
 * page or a viewer that is restarted loses none; each has an id, so that sending it again does no harm.
 */
export class Outbox {
  /** `onChange(unsaved)` is called when the number changes, `onRefused(decision, error)` if one can't be saved. */
  constructor(run, onChange, onRefused) {
    this.path = `/api/runs/${encodeURIComponent(run)}/reviews`;
    this.key = `syphus-unsaved-${run}`;
    this.onChange = onChange;
    this.onRefused = onRefused;
    this.waiting = this.stored();
    this.sending = false;
    this.closed = false;
    this.send();
  }

  add(decision, onSaved) {
    this.waiting.push({ decision: { id: newId(), ...decision }, onSaved });
    this.changed();
    this.send();
  }

  async send() {
    if (this.sending || this.closed) return;
    this.sending = true;
    while (this.waiting.length && !this.closed) {
      const [{ decision, onSaved }] = this.waiting;
      try {
        const reply = await call(this.path, { body: decision });
        onSaved?.(reply);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status === 0 || error.status >= 500 || error.status === 401) {
          setTimeout(() => this.send(), AGAIN);
          break;
        }
        this.onRefused(decision, error);
      }
      this.waiting.shift();
      this.changed();
    }
    this.sending = false;
  }

  changed() {
    try {
      localStorage.setItem(this.key, JSON.stringify(this.waiting.map(({ decision }) => decision)));
    } catch {
      // Without storage they live as long as the page.
    }
    this.onChange(this.waiting.length);
  }

  stored() {
    try {
      return JSON.parse(localStorage.getItem(this.key) || "[]").map((decision) => ({ decision }));
    } catch {
      return [];
    }
  }

  close() {
    this.closed = true;
  }
}

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // a page of another machine, without https
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The text that is judged: that of a language, or of the pair itself; null if there is none. */
export function judgedText(item, language) {
  return language ? item.translations[language] || null : item;
}

const KINDS = { accepted: "ok", rejected: "bad", edited: "accent", disputed: "warn", unseen: "quiet" };

export function reviewChip(review) {
  return chip(review.state === "unseen" && review.outdated ? "text has changed" : review.state, { kind: KINDS[review.state] || "quiet" });
}

const SAID = { accept: "accepts it", reject: "rejects it", edit: "edited it" };

/** What each person says. */
export function verdicts(review) {
  const list = Object.entries(review.verdicts || {});
  const comments = review.comments || [];
  if (!list.length && !comments.length) return null;
  return h("ul", { class: "verdicts" },
    list.map(([name, each]) => h("li", null, h("b", null, name), ` ${SAID[each.verdict] || each.verdict}`, each.reason && `: ${each.reason}`,
      each.verdict === "edit" && h("div", { class: "box pair" }, prose(each.instruction, { tag: "p" }), prose(each.answer, { tag: "p" })))),
    comments.map((each) => h("li", null, h("b", null, each.reviewer), ": ", prose(each.comment, { tag: "span" }))));
}

/** The images of an item: stills large, frames as a strip with their seconds. */
export function media(item) {
  const images = item.images.filter(canShow);
  const frames = images.filter(({ seconds }) => seconds !== null && seconds !== undefined);
  const stills = images.filter((image) => !frames.includes(image));
  if (!item.images.length) return null;
  return [imagesHint(item), item.images.filter(({ problem }) => problem).map(({ name, problem }) => h("p", { class: "note" }, h("b", null, name || "A picture"), ` ${problem}`)), stills.length > 0 && pictures(stills, { large: stills.length < 3 }), frames.length > 0 && filmstrip(frames)];
}

/** The text of an item, with a translation beside it where one is judged. */
export function texts(item, language) {
  if (item.kind === "answer") return [rejection(item), prose(item.answer || "(an empty text)", { mono: true })];
  const one = (text, code_) => h("div", { class: "pair", lang: code_ || null }, prose(text.instruction, { tag: "h3", lang: code_ }), prose(text.answer, { tag: "p", lang: code_ }));
  const translated = language && item.translations[language];
  if (!translated) return [item.kind === "judged" && rejection(item), h("div", { class: "judged" }, one(item))];
  return h("div", { class: "translations judged" }, h("div", { class: "box" }, h("p", { class: "about" }, "Original"), one(item)),
    h("div", { class: "box taken" }, h("p", { class: "about" }, h("b", null, languageName(language)), translated.state !== "ok" && stateChip(translated.state), translated.reason && h("span", { class: "why" }, translated.reason)), one(translated, language)));
}

function rejection(item) {
  const who = item.kind === "judged" ? "The judge took this pair out" : "A rule rejected this answer";
  return h("p", { class: "notice", dataset: { kind: "warn" } }, h("b", null, `${who}: ${item.why || item.reason}. `), "Accept it if it is good all the same; reject it if that was right.");
}

/** What belongs to an item: its annotation, translations and related pairs. */
export function surroundings(item, language, context) {
  const others = Object.entries(item.translations).filter(([code_]) => code_ !== language);
  const related = item.related.filter(({ instruction }) => instruction);
  return [
    card("Annotation", prose(item.annotation || "none")),
    related.length > 0 && card("Related pairs", h("div", { class: "list" }, related.map((each) => h("div", { class: "pair" }, prose(each.instruction, { tag: "h3" }), prose(each.answer, { tag: "p" }))))),
    others.length > 0 && more(plural(others.length, "translation"), h("div", { class: "translations" }, others.map(([code_, each]) =>
      h("div", { class: "box", lang: code_ }, h("p", { class: "about", lang: "en" }, h("b", null, languageName(code_)), each.state !== "ok" && stateChip(each.state)), prose(each.instruction, { tag: "p", lang: code_ }), prose(each.answer, { tag: "p", lang: code_ }))))),
    h("p", { class: "about" }, code(item.id), h("a", { href: context.href(`/queries/${item.n}`) }, "its query"), item.why && item.kind === "pair" && h("span", null, item.why)),
  ];
}
