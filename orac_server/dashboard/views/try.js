// A prompt to a model: streamed, stopped, measured, and as a command to copy.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { stream, token } from "../api.js";
import { milliseconds, or, rate } from "../format.js";
import { asCurl, asPython } from "../snippets.js";
import { nameOf, useStore } from "../store.js";
import { Copy, Trouble } from "../widgets.js";

const OPTIONS = [
  ["max_tokens", "Longest answer (tokens)", 1],
  ["temperature", "Temperature", "any"],
  ["top_p", "Top p", "any"],
  ["top_k", "Top k", 1],
  ["min_p", "Min p", "any"],
  ["repeat_penalty", "Repeat penalty", "any"],
  ["seed", "Seed", 1],
];
const EMPTY = { model: "", prompt: "", system: "", format: "text", schema: "", options: {} };

/** Fetched when this view is first looked at: nothing else needs it. */
const markdownModule = () => import("../markdown.js");

/** What is kept while other views are looked at; nothing of it outlives the page. */
let draft = EMPTY;

/** The body of the request; throws when the schema is no JSON. */
export function bodyOf({ model, prompt, system, format, schema, options }) {
  const given = Object.entries(options).filter(([, value]) => value !== "");
  const body = { model, prompt };
  if (system) body.system = system;
  if (format === "json") body.format = "json";
  if (format === "schema") body.format = parsed(schema);
  if (given.length) body.options = Object.fromEntries(given.map(([key, value]) => [key, Number(value)]));
  return body;
}

function parsed(schema) {
  try {
    return JSON.parse(schema);
  } catch (error) {
    throw new Error(`The schema is not JSON: ${error.message}`);
  }
}

export function Try({ rest }) {
  const [asked, setAsked] = useState({ ...draft, model: rest || draft.model });
  const [state, setState] = useState({ busy: false, error: null, figures: null });
  const [markdown, setMarkdown] = useState(true);
  const place = useRef();
  const leaving = useRef(null);
  const writing = useRef(null);
  draft = asked;
  const set = (changes) => setAsked((before) => ({ ...before, ...changes }));
  useEffect(() => {
    markdownModule();
    return () => leaving.current?.abort();
  }, []);
  useEffect(() => {
    if (rest) set({ model: rest });
  }, [rest]);
  useEffect(() => {
    if (writing.current && writing.current.markdown !== markdown) writing.current.show(markdown);
  }, [markdown]);
  const send = async () => {
    leaving.current = new AbortController();
    await ask(asked, leaving.current.signal, place.current, markdown, writing, setState);
  };
  return html`<${Form}
      asked=${asked}
      set=${set}
      busy=${state.busy}
      send=${send}
      stop=${() => leaving.current?.abort()}
    />
    <${Trouble}>${state.error}<//>
    <section class="card answer" aria-label="Answer">
      <p class="figures" role="status">${state.figures ?? "The answer will stand here."}</p>
      <div class="text" ref=${place} tabindex="0" role="region" aria-label="Text of the answer" aria-busy=${state.busy}></div>
      <div class="buttons">
        <${Copy} text=${() => writing.current?.text ?? ""}>Copy the answer<//>
        <label class="check">
          <input type="checkbox" checked=${markdown} onChange=${(event) => setMarkdown(event.target.checked)} />
          Markdown
        </label>
      </div>
    </section>
    <${Snippets} asked=${asked} />`;
}

async function ask(asked, signal, place, markdown, writing, setState) {
  const started = performance.now();
  setState({ busy: true, error: null, figures: "waiting for the first token …" });
  const { Writing } = await markdownModule();
  writing.current = new Writing(place, markdown);
  let [error, figures] = [null, null];
  try {
    figures = await written(bodyOf(asked), signal, writing.current, (ttft) => {
      const first = `first token after ${milliseconds(ttft - started)}`;
      setState({ busy: true, error: null, figures: `${first}, answering …` });
    });
  } catch (thrown) {
    figures = signal.aborted ? "stopped" : null;
    error = signal.aborted ? null : thrown.message;
  }
  writing.current.end();
  setState({ busy: false, error, figures: figures ?? "no whole answer" });
}

async function written(body, signal, writing, begun) {
  let first = true;
  for await (const { name, data } of stream("/v1/prompt", body, signal)) {
    if (name === "done") return told(data);
    if (name !== "chunk") continue;
    if (first) begun(performance.now());
    first = false;
    writing.add(data.text ?? "");
  }
  return null;
}

/** The figures of an answer in words. */
export function told({ usage, timings, finish_reason: reason, elapsed_ms: elapsed, ...answer }) {
  const cut = { length: "cut at the limit of tokens", deadline: "cut: its time was over" };
  const valid = { true: "has the form asked for", false: "▲ does not have the form asked for" };
  return [
    or(usage.completion_tokens, (tokens) => `${tokens} tokens`, null),
    or(timings.decode_tokens_per_second, rate, null),
    or(timings.ttft_ms, (ttft) => `first token after ${milliseconds(ttft)}`, null),
    `${milliseconds(elapsed)} in all`,
    timings.load_ms >= 10 && `${milliseconds(timings.load_ms)} of it loading`,
    cut[reason],
    valid[answer.format_valid],
    answer.truncated_prompt && "▲ the prompt was cut",
    answer.served_by_fallback && `answered by ${answer.instance}/${answer.model} instead`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function Form({ asked, set, busy, send, stop }) {
  const submit = (event) => {
    event.preventDefault();
    if (!busy) send();
  };
  const keys = (event) => {
    if (event.key === "Escape" && busy) stop();
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.currentTarget.requestSubmit();
  };
  return html`<form class="card" onSubmit=${submit} onKeyDown=${keys}>
    <${Choice} value=${asked.model} choose=${(model) => set({ model })} />
    <label for="prompt">Prompt <span class="hint">Ctrl + Enter sends, Esc stops</span></label>
    <textarea id="prompt" rows="5" required value=${asked.prompt} onInput=${(event) => set({ prompt: event.target.value })}></textarea>
    <${More} asked=${asked} set=${set} />
    <div class="buttons">
      <button class="primary" disabled=${busy}>Send</button>
      <button type="button" disabled=${!busy} onClick=${stop}>Stop</button>
    </div>
  </form>`;
}

const NONE = [];

/** Roles, then models; the first that can answer is taken where none was chosen. */
function Choice({ value, choose }) {
  const models = useStore((state) => state.models) ?? NONE;
  const usable = models.filter((each) => each.state !== "failed" || nameOf(each) === value);
  const names = usable.map(nameOf);
  const roles = [...new Set(models.flatMap((each) => each.roles))];
  const ready = usable.find((each) => each.state === "ready");
  useEffect(() => {
    if (names.length && ![...roles, ...names].includes(value)) choose(ready ? nameOf(ready) : names[0]);
  }, [value, models]);
  return html`<label for="model">Model</label>
    <select id="model" required value=${value} onChange=${(event) => choose(event.target.value)}>
      ${roles.length > 0 && html`<optgroup label="Roles">${roles.map((each) => html`<option value=${each}>${each}</option>`)}</optgroup>`}
      <optgroup label="Models">
        ${usable.map((each) => html`<option key=${nameOf(each)} value=${nameOf(each)}>${nameOf(each)}${each.state === "ready" ? " (ready)" : ""}</option>`)}
      </optgroup>
    </select>`;
}

function More({ asked, set }) {
  const option = (key) => (event) => set({ options: { ...asked.options, [key]: event.target.value } });
  return html`<details>
    <summary>System prompt, form of the answer, options</summary>
    <label for="system">System prompt</label>
    <textarea id="system" rows="2" value=${asked.system} onInput=${(event) => set({ system: event.target.value })}></textarea>
    <label for="format">Form of the answer</label>
    <select id="format" value=${asked.format} onChange=${(event) => set({ format: event.target.value })}>
      <option value="text">free text</option>
      <option value="json">any JSON</option>
      <option value="schema">by a JSON schema</option>
    </select>
    ${asked.format === "schema" &&
    html`<label for="schema">JSON schema</label>
      <textarea id="schema" rows="5" spellcheck=${false} class="code" required value=${asked.schema} onInput=${(event) => set({ schema: event.target.value })}></textarea>`}
    <div class="grid">
      ${OPTIONS.map(
        ([key, title, step]) => html`<div>
          <label for=${key}>${title}</label>
          <input id=${key} type="number" step=${step} min="0" placeholder="the model's own" value=${asked.options[key] ?? ""} onInput=${option(key)} />
        </div>`,
      )}
    </div>
  </details>`;
}

function Snippets({ asked }) {
  let body;
  try {
    body = bodyOf(asked);
  } catch {
    return null;
  }
  const [curl, python] = [asCurl, asPython].map((as) => as(location.origin, body, Boolean(token.get())));
  return html`<details class="card">
    <summary>The same as a command or a program</summary>
    <h3>curl <${Copy} text=${curl}>Copy as curl<//></h3>
    <pre tabindex="0" data-code="curl">${curl}</pre>
    <h3>Python <${Copy} text=${python}>Copy as Python<//></h3>
    <pre tabindex="0" data-code="python">${python}</pre>
  </details>`;
}
