// An answer while it is written: Markdown as safe markup, of which only the end is drawn anew.

import { marked } from "./vendor/marked.js";
import "./vendor/purify.js";

const PAUSE_MS = 100;
const SLICE = 1500;
const TAGS = [
  ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"],
  ...["pre", "code", "em", "strong", "del", "a", "table", "thead", "tbody", "tr", "th", "td"],
];
const ATTRIBUTES = ["href", "title", "start", "align", "target", "rel"];

const escaped = (text) =>
  text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);

// Markup that a model writes is shown as the text that it is, and nothing is fetched for an image.
marked.use({
  gfm: true,
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => escaped(`![${text}](${href})`),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

globalThis.DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

/** Returns Markdown as a piece of a document in which nothing can run and nothing is fetched. */
export function rendered(text) {
  return globalThis.DOMPurify.sanitize(marked.parse(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
    RETURN_DOM_FRAGMENT: true,
  });
}

/**
 * Where the part ends that more text can not change: at a blank line outside of any fence. It has
 * about `most` characters, where there is a blank line to end it so early.
 */
export function settledEnd(text, from, most = SLICE) {
  let [fence, end, at] = [null, from, from];
  for (const line of text.slice(from).split("\n").slice(0, -1)) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && !fence) fence = mark;
    else if (mark && fence && mark.startsWith(fence)) fence = null;
    at += line.length + 1;
    if (end > from && at > from + most) break;
    if (!fence && line.trim() === "" && !/^[ \t]/.test(text[at] ?? "")) end = at;
  }
  return end;
}

export class Writing {
  constructor(place, markdown = true) {
    this.place = place;
    this.text = "";
    this.tail = document.createElement("div");
    this.frame = null;
    this.nextAt = 0;
    this.show(markdown);
  }

  /** Draws all of it anew, as Markdown or as it is. */
  show(markdown) {
    this.markdown = markdown;
    this.settled = 0;
    this.place.replaceChildren(this.tail);
    this.end();
  }

  add(text) {
    this.text += text;
    this.frame ??= requestAnimationFrame((now) => this.draw(now));
  }

  /** Draws what is left without waiting. */
  end() {
    this.nextAt = 0;
    this.frame ??= requestAnimationFrame((now) => this.draw(now));
  }

  /** Draws one slice; a slow machine gets longer pauses, so that it does nothing else as well. */
  draw(now) {
    this.frame = null;
    const more = now < this.nextAt || this.drawn();
    if (more) this.frame = requestAnimationFrame((later) => this.draw(later));
  }

  /** Draws, and returns whether there is more to do at once. */
  drawn() {
    const started = performance.now();
    const end = this.markdown ? settledEnd(this.text, this.settled) : 0;
    const slice = end - this.settled;
    this.atEnd(() => this.put(end));
    if (slice > SLICE / 2) return true;
    const took = performance.now() - started;
    this.nextAt = this.markdown ? started + Math.max(PAUSE_MS, 4 * took) : 0;
    return false;
  }

  put(end) {
    if (end > this.settled) this.tail.before(rendered(this.text.slice(this.settled, end)));
    const much = end - this.settled > SLICE / 2;
    this.settled = end;
    const tail = much ? "" : this.text.slice(end);
    this.tail.replaceChildren(this.markdown ? rendered(tail) : tail);
    this.tail.className = this.markdown ? "" : "verbatim";
  }

  /** Stays at the end of the text for a reader who is there. */
  atEnd(work) {
    const { place } = this;
    const there = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    work();
    if (there) place.scrollTop = place.scrollHeight;
  }
}
