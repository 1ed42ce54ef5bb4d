// Small parts that several views are made of.

import { html, useEffect, useState } from "./vendor/preact.js";
import { UNTOLD, told } from "./format.js";

const MARKS = {
  ready: "●",
  starting: "◐",
  stopping: "◐",
  stopped: "○",
  failed: "✕",
  healthy: "●",
  degraded: "▲",
  unhealthy: "✕",
  usable: "●",
  broken: "✕",
};

/** A state in a word, with a mark beside it, so that it does not hang on the colour. */
export function State({ of }) {
  return html`<span class="state" data-state=${of}
    ><span aria-hidden="true">${MARKS[of] ?? "○"} </span>${of}</span
  >`;
}

/** Facts with their names; one that the machine does not tell is said so. */
export function Facts({ facts }) {
  return html`<dl class="facts">
    ${facts.map(
      ([name, value, note]) => html`<div key=${name} class=${told(value) ? "" : "untold"}>
        <dt>${name}</dt>
        <dd>${told(value) ? value : UNTOLD}${note && html` <span class="hint">${note}</span>`}</dd>
      </div>`,
    )}
  </dl>`;
}

export function Trouble({ children }) {
  return children ? html`<p class="error" role="alert">${children}</p>` : null;
}

export function Progress({ of, label }) {
  if (!of) return null;
  const known = of.total > 0 && told(of.completed);
  const share = known ? ` ${Math.floor((100 * of.completed) / of.total)} %` : "";
  return html`<div class="progress" role="status">
    <progress
      aria-label=${label}
      max=${known ? of.total : undefined}
      value=${known ? of.completed : undefined}
    ></progress>
    <span class="hint">${of.message || of.stage}${share}</span>
  </div>`;
}

export function Copy({ text, children }) {
  const [done, setDone] = useState(null);
  useEffect(() => {
    const timer = done && setTimeout(() => setDone(null), 2500);
    return () => clearTimeout(timer);
  }, [done]);
  const copied = async () => {
    try {
      setDone((await copy(await (typeof text === "function" ? text() : text))) || "copied");
    } catch (error) {
      setDone(error.message);
    }
  };
  return html`<button type="button" onClick=${copied}>${children}</button>
    <span class="hint" role="status">${done}</span>`;
}

/** Puts a text on the clipboard; a page that came by plain HTTP has only the old way. */
async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const worked = document.execCommand("copy");
  field.remove();
  if (!worked) throw new Error("the browser does not let this page copy");
}

/** Lets the browser keep a text as a file. */
export function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Draws anew every so often, for what depends on the time. */
export function useTick(milliseconds) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((times) => times + 1), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}

/** What `ask` answers: [answer or null, error or null, ask again]. */
export function useAnswer(ask, wanted) {
  const [found, setFound] = useState([null, null]);
  const again = async () => {
    try {
      setFound([await ask(), null]);
    } catch (error) {
      setFound(([before]) => [before, error.message]);
    }
  };
  useEffect(() => {
    again();
  }, wanted);
  return [...found, again];
}
