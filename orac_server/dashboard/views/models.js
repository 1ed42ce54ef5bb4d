// Every model: what it is doing, what it needs, how fast it is; and load, unload and pin.

import { html, useEffect, useMemo, useReducer, useRef, useState } from "../vendor/preact.js";
import { subscribe, want } from "../plans.js";
import { nameOf, useStore } from "../store.js";
import { Trouble, useTick } from "../widgets.js";
import { Row } from "./row.js";

const FIRST = 8;
const STEP = 12;
const MOST_AT_ONCE = 32;

const last = (values) => values?.at(-1) ?? null;

export const COLUMNS = [
  { key: "name", title: "Model", of: (model) => nameOf(model).toLowerCase() },
  { key: "state", title: "State", of: (model) => ORDER.indexOf(model.state) },
  { key: "role", title: "Role", of: (model) => model.roles.join(" ") || null },
  { key: "size", title: "Size", of: (model) => model.size_bytes },
  { key: "context", title: "Context", of: (model) => model.context_length },
  { key: "memory", title: "Memory", of: (model) => model.memory.measured_bytes ?? model.memory.estimated_bytes },
  { key: "gpu", title: "On GPU", of: (model) => model.memory.on_gpu_ratio },
  { key: "speed", title: "Speed", of: (model, rates) => last(rates.get(nameOf(model))) },
  { key: "expires", title: "Expires", of: (model) => model.expires_at },
];

const ORDER = ["ready", "starting", "stopping", "failed", "stopped"];

/** The models that the words and the state choose, sorted; what is not known comes last. */
export function chosen(models, { words, state, column, descending }, rates) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const { of } = COLUMNS.find((each) => each.key === column);
  const found = models.filter(
    (model) => (!state || model.state === state) && wanted.every((word) => described(model).includes(word)),
  );
  const keyed = found.map((model) => [of(model, rates), model]);
  return keyed.sort(([one], [other]) => compared(one, other, descending)).map(([, model]) => model);
}

function described(model) {
  const facts = [model.id, model.instance, model.kind, model.architecture, model.quantization, model.state];
  return [...facts, ...model.roles, ...model.capabilities].join(" ").toLowerCase();
}

function compared(one, other, descending) {
  if (one === null || other === null) return (one === null) - (other === null);
  const order = one < other ? -1 : Number(one > other);
  return descending ? -order : order;
}

export function Models() {
  const models = useStore((state) => state.models);
  const error = useStore((state) => state.modelsError);
  const rates = useStore((state) => state.rates);
  const silent = unusable(useStore((state) => state.health?.instances));
  const [view, setView] = useState({ words: "", state: "", column: "state", descending: false });
  const [most, setMost] = useState(FIRST);
  const [, planned] = useReducer((times) => times + 1, 0);
  useTick(30_000);
  useEffect(() => subscribe(planned), []);
  const found = useMemo(() => chosen(models ?? [], view, rates), [models, view, rates]);
  const called = useMemo(() => calling(models ?? []), [models]);
  const shown = found.slice(0, most);
  useEffect(() => want(shown), [models, view, most]);
  const change = (changes) => {
    setMost(Math.min(most, MOST_AT_ONCE));
    setView({ ...view, ...changes });
  };
  if (!models) return html`<p class="hint">Asking for the models …</p><${Trouble}>${error}<//>`;
  return html`<${Trouble}>${error && `The models can not be listed: ${error}`}<//>
    ${silent.map(
      ([name, { message }]) => html`<${Trouble} key=${name}>${name} can not be used: ${message || "it does not say why"}<//>`,
    )}
    <${Filter} view=${view} change=${change} shown=${found.length} total=${models.length} />
    ${models.length
      ? html`<${Table} models=${shown} called=${called} view=${view} change=${change} />`
      : !silent.length &&
        html`<p>
          No models found. Put a <code>.gguf</code> file into a models folder;
          <code>orac doctor</code> shows where ORAC looks.
        </p>`}
    ${found.length > shown.length && html`<${More} grow=${() => setMost(most + STEP)} left=${found.length - most} />`}`;
}

/** What tells a model from all others: its id, and its instance where several have that. */
function calling(models) {
  const seen = new Set();
  const twice = new Set(models.map(({ id }) => id).filter((id) => seen.has(id) || !seen.add(id)));
  return (model) => (twice.has(model.id) ? nameOf(model) : model.id);
}

/** The backends whose models are not listed, or can not be loaded. */
function unusable(instances) {
  return Object.entries(instances ?? {}).filter(([, each]) => !each.usable);
}

function Filter({ view, change, shown, total }) {
  const field = useRef();
  useEffect(() => {
    const focus = (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      field.current.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return html`<div class="filter" role="search">
    <label>
      <span>Filter <span class="hint">press /</span></span>
      <input
        ref=${field}
        type="search"
        value=${view.words}
        placeholder="name, role, architecture …"
        onInput=${(event) => change({ words: event.target.value })}
      />
    </label>
    <label>
      <span>State</span>
      <select value=${view.state} onChange=${(event) => change({ state: event.target.value })}>
        <option value="">all</option>
        ${ORDER.map((each) => html`<option value=${each}>${each}</option>`)}
      </select>
    </label>
    <p class="hint" role="status">${shown === total ? `${total} models` : `${shown} of ${total} models`}</p>
  </div>`;
}

function Table({ models, called, view, change }) {
  const body = useRef();
  const walk = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const button = event.target.closest("button");
    if (!step || !button) return;
    const rows = [...body.current.querySelectorAll("tr.model")];
    const next = rows[rows.indexOf(button.closest("tr")) + step];
    if (!next) return;
    event.preventDefault();
    next.querySelector("button:enabled")?.focus();
  };
  return html`<div class="scroll">
    <table class="models">
      <caption class="unseen">The models. Arrow keys go from row to row.</caption>
      <thead>
        <tr>
          ${COLUMNS.map((column) => html`<${Heading} key=${column.key} column=${column} view=${view} change=${change} />`)}
          <th scope="col">Do</th>
        </tr>
      </thead>
      <tbody ref=${body} onKeyDown=${walk}>
        ${models.map(
          (model) => html`<${Row} key=${nameOf(model)} model=${model} called=${called(model)} columns=${COLUMNS.length + 1} />`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Heading({ column, view, change }) {
  const { key, title } = column;
  const sorted = view.column === key;
  const order = view.descending ? "descending" : "ascending";
  const sort = () => change({ column: key, descending: sorted && !view.descending });
  return html`<th scope="col" aria-sort=${sorted ? order : undefined}>
    <button type="button" class="sort" onClick=${sort}>
      ${title}<span aria-hidden="true">${sorted ? (view.descending ? " ↓" : " ↑") : ""}</span>
    </button>
  </th>`;
}

/** Rows are added as their end comes into sight: hundreds at once would hold the page up. */
function More({ grow, left }) {
  const place = useRef();
  const latest = useRef();
  latest.current = grow;
  useEffect(() => {
    const seen = (entries) => entries.some((each) => each.isIntersecting) && latest.current();
    const sight = new IntersectionObserver(seen, { rootMargin: "300px" });
    sight.observe(place.current);
    return () => sight.disconnect();
  }, [left]);
  return html`<p ref=${place}><button type="button" onClick=${grow}>Show more (${left} left)</button></p>`;
}
