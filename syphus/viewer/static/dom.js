/**
 * Builds elements. Everything that a run holds is text here: nothing on these pages parses HTML.
 *
 * h("p", {class: "note", onclick: act}, "shown as text", h("b", null, 3), condition && other)
 *   - children: nodes, strings, numbers, arrays of them; null, undefined and booleans are left out
 *   - props: attributes; `on...` takes a function; `style` and `dataset` take objects; null, undefined and false are left out
 *   - links and pictures stay on this server: an address of another kind raises an error
 */
const SVG = "http://www.w3.org/2000/svg";
const FORBIDDEN_TAGS = new Set(["script", "style", "iframe", "object", "embed", "base", "meta", "link", "foreignobject"]);
const ADDRESSES = new Set(["href", "src", "action", "formaction", "poster"]);
const OWN_ADDRESS = /^(?:\/(?![/\\])|#|\?|$)/;
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif|bmp);base64,/;
const AS_PROPERTY = new Set(["value", "checked", "selected", "indeterminate"]);

/** Return a new HTML element. */
export function h(tag, props, ...children) {
  return fill(document.createElement(checkedTag(tag)), props, children);
}

/** Return a new SVG element. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, checkedTag(tag)), props, children);
}

/** Replace what is in `element`, and return it. */
export function replace(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Return children as nodes: strings and numbers become text. */
export function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && typeof child !== "boolean")
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

/**
 * Change `old` into `fresh` where they differ, and return the element that is on the page. What has the focus, is
 * selected or was opened stays so; listeners of elements that stay are the old ones.
 */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old instanceof Text) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return old;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "style" && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== "style" && name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  const news = [...fresh.childNodes];
  while (old.childNodes.length > news.length) old.lastChild.remove();
  news.forEach((child, at) => (at < old.childNodes.length ? morph(old.childNodes[at], child) : old.append(child)));
  return old;
}

function checkedTag(tag) {
  if (FORBIDDEN_TAGS.has(tag.toLowerCase())) throw new Error(`no <${tag}> is made here`);
  return tag;
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    set(element, name, value);
  }
  element.append(...nodes(children));
  return element;
}

function set(element, name, value) {
  if (/^on/i.test(name)) {
    if (typeof value !== "function") throw new Error(`${name} takes a function`);
    element.addEventListener(name.slice(2).toLowerCase(), value);
  } else if (name === "style") {
    // Through the object model: the content security policy refuses style attributes.
    for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, String(setting));
  } else if (name === "dataset") {
    for (const [key, setting] of Object.entries(value)) element.dataset[key] = String(setting);
  } else if (ADDRESSES.has(name.toLowerCase())) {
    const address = String(value);
    if (!OWN_ADDRESS.test(address) && !(name === "src" && PICTURE.test(address))) {
      throw new Error(`${name} must be an address of this page`);
    }
    element.setAttribute(name, address);
  } else if (AS_PROPERTY.has(name)) {
    element[name] = value;
  } else if (/html|srcdoc/i.test(name)) {
    throw new Error(`${name} would parse a text`);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}
