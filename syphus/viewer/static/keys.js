/** Keyboard shortcuts: single keys, and two in a row such as "g q". They can be switched off (WCAG 2.1.4). */
const SWITCH = "syphus-keys";

/** A group of shortcuts that a page or the shell has. */
export class Keys {
  constructor() {
    this.groups = [];
    this.before = "";
    document.addEventListener("keydown", (event) => this.press(event));
  }

  get on() {
    try {
      return localStorage.getItem(SWITCH) !== "off";
    } catch {
      return true;
    }
  }

  set on(value) {
    try {
      localStorage.setItem(SWITCH, value ? "on" : "off");
    } catch {
      // Without storage they stay on.
    }
  }

  /**
   * Add {key: [action, "what it does"]}; a key is as in KeyboardEvent.key, or two of them with a space.
   * Later groups win. An action may return false to let the browser have the key. Returns a function that removes the group.
   */
  add(bindings) {
    const group = Object.entries(bindings).map(([key, [action, label]]) => ({ key, action, label }));
    this.groups.push(group);
    return () => {
      this.groups = this.groups.filter((each) => each !== group);
    };
  }

  /** Return [{key, label}] of what works now, the page's own first. */
  list() {
    const seen = new Set();
    return [...this.groups].reverse().flat().filter(({ key, label }) => label && !seen.has(key) && seen.add(key));
  }

  press(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
    if (typing && event.key !== "Escape") return;
    if (document.querySelector("dialog[open]")) return;
    if (!this.on && event.key.length === 1) return;
    // Enter and space belong to the link or button that has the focus.
    if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("a, button, summary, input")) return;
    const pair = this.before && `${this.before} ${event.key}`;
    const found = (pair && this.find(pair)) || this.find(event.key);
    const starts = !found && this.groups.flat().some(({ key }) => key.startsWith(`${event.key} `));
    this.before = starts ? event.key : "";
    if (found && found.action(event) !== false) event.preventDefault();
  }

  find(key) {
    for (const group of [...this.groups].reverse()) {
      const binding = group.find((each) => each.key === key);
      if (binding) return binding;
    }
    return null;
  }
}
