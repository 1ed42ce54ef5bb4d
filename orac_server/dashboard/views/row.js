// One model in the table, with what can be done to it.

import { Component, html } from "../vendor/preact.js";
import { load, pin, unload } from "../actions.js";
import { Sparkline } from "../charts.js";
import { bytes, count, date, or, percent, short, span, told, whole } from "../format.js";
import { planOf } from "../plans.js";
import { nameOf, store } from "../store.js";
import { Progress, State } from "../widgets.js";

const BUSY = new Set(["starting", "stopping"]);
const NO_RATES = [];

function seen(name) {
  const { progress, failures, rates, baselines } = store.state;
  return {
    progress: progress.get(name),
    failure: failures.get(name),
    rates: rates.get(name) ?? NO_RATES,
    baseline: baselines.get(name) ?? null,
    plan: planOf(name),
  };
}

const same = (one, other) => Object.keys(one).every((key) => one[key] === other[key]);

/** Draws itself anew only when something of this model has changed. */
export class Row extends Component {
  constructor(props) {
    super(props);
    this.state = { open: false };
  }

  componentDidMount() {
    this.leave = store.subscribe(() => {
      if (!same(this.drawn, seen(nameOf(this.props.model)))) this.setState({});
    });
  }

  componentWillUnmount() {
    this.leave();
  }

  shouldComponentUpdate(props, state) {
    const now = seen(nameOf(props.model));
    const expires = told(props.model.expires_at);
    return expires || !same(props, this.props) || state !== this.state || !same(this.drawn, now);
  }

  render({ model, called, columns }, { open }) {
    this.drawn = seen(nameOf(model));
    const toggle = () => this.setState({ open: !open });
    return html`<tr class="model" data-model=${nameOf(model)}>
        <th scope="row">
          <button type="button" class="name" aria-label=${called} aria-expanded=${open} onClick=${toggle}>${model.id}</button>
          <span class="hint">${model.instance} · ${model.kind}</span>
          <${Notes} model=${model} failure=${this.drawn.failure} />
        </th>
        <${Figures} model=${model} called=${called} ...${this.drawn} />
        <td data-label="Do"><${Actions} model=${model} called=${called} progress=${this.drawn.progress} /></td>
      </tr>
      ${open && html`<tr class="more"><td colspan=${columns}><${More} model=${model} plan=${this.drawn.plan} /></td></tr>`}`;
  }
}

/** What is wrong with it, in the words of whoever found it. */
function Notes({ model, failure }) {
  const wrong = failure ?? model.file?.problem ?? (model.state === "failed" ? model.state_reason : null);
  return html`${wrong && html`<span class="note error" role="alert">${wrong}</span>`}
  ${model.warning && html`<span class="note warning">▲ ${model.warning}</span>`}`;
}

function Figures({ model, called, progress, rates, baseline, plan }) {
  const { quantization, roles, memory } = model;
  return html`<td data-label="State" aria-live="polite">
      <${State} of=${model.state} />${model.pinned && html` <span class="tag">pinned</span>`}
      <${Progress} of=${progress} label="Progress of ${called}" />
    </td>
    <td data-label="Role">${roles.join(", ") || html`<span class="hint">none</span>`}${model.required && html` <span class="tag">required</span>`}</td>
    <td data-label="Size" class="number">${or(model.size_bytes, bytes)}<span class="hint">${quantization}</span></td>
    <td data-label="Context" class="number">${or(model.context_length, whole)}</td>
    <td data-label="Memory" class="number"><${Memory} memory=${memory} plan=${plan} of=${model} /></td>
    <td data-label="On GPU" class="number">${or(memory.on_gpu_ratio, percent, "–")}</td>
    <td data-label="Speed" class="number"><${Speed} rates=${rates} baseline=${baseline} /></td>
    <td data-label="Expires" class="number">${expiry(model)}</td>`;
}

function Memory({ memory, plan, of }) {
  if (told(memory.measured_bytes)) return html`${bytes(memory.measured_bytes)}<span class="hint">taken</span>`;
  if (of.remote) return html`–<span class="hint">elsewhere</span>`;
  const needed = plan?.needed?.total_bytes ?? memory.estimated_bytes;
  return html`${or(needed, bytes)}<span class="hint">needed</span>${of.state === "stopped" && html`<${Fits} plan=${plan} />`}`;
}

export function Fits({ plan }) {
  if (!plan || plan.loaded) return null;
  const evicted = plan.would_evict.map((each) => each.model);
  const [mark, words] =
    plan.fits === null
      ? ["?", "not known whether it fits"]
      : !plan.fits
        ? ["✕", "does not fit"]
        : evicted.length
          ? ["▲", `fits without ${evicted.join(", ")}`]
          : ["✓", "fits"];
  return html`<span class="fits" data-fits=${mark} title=${plan.message}><span aria-hidden="true">${mark}</span> ${words}</span>`;
}

function Speed({ rates, baseline }) {
  const now = rates.at(-1);
  if (!told(now)) return html`<span class="hint">${or(baseline, (usual) => `usual ${short(usual)}`, "–")}</span>`;
  const share = baseline ? ` (${percent(now / baseline)} of usual)` : "";
  return html`${short(now)} tokens/s<span class="hint">${share}</span><${Sparkline} rates=${rates} baseline=${baseline} />`;
}

function expiry(model) {
  if (model.state !== "ready") return "–";
  if (model.pinned || !told(model.expires_at)) return "never";
  return `in ${span((Date.parse(model.expires_at) - Date.now()) / 1000)}`;
}

function Actions({ model, called, progress }) {
  const [act, verb] = model.state === "ready" ? [unload, "Unload"] : [load, "Load"];
  const busy = Boolean(progress) || BUSY.has(model.state);
  const pinning = model.pinned ? "Unpin" : "Pin";
  return html`<div class="buttons">
    <button type="button" disabled=${busy} aria-label="${verb} ${called}" onClick=${() => act(model)}>${verb}</button>
    ${model.state === "ready" &&
    html`<button type="button" disabled=${busy} aria-label="${pinning} ${called}" onClick=${() => pin(model)}>${pinning}</button>
      <a class="button" href="#/try/${encodeURIComponent(nameOf(model))}" aria-label="Try ${called}">Try</a>`}
  </div>`;
}

const worn = ({ name, scale, problem }) =>
  `${name}${scale === 1 ? "" : ` (scale ${scale})`}${problem ? ` ▲ ${problem}` : ""}`;

function More({ model, plan }) {
  const facts = [
    ["Architecture", model.architecture],
    ["Parameters", or(model.parameters, count, null)],
    ["Can", model.capabilities.join(", ") || null],
    ["Adapters", model.adapters.map(worn).join(", ") || "none"],
    ["Last used", or(model.last_used_at, date, "never")],
    ["File", model.file?.path],
    ["SHA-256", model.file?.sha256],
    ["Load", plan?.message],
  ];
  return html`<dl class="facts">
    ${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value ?? "not known"}</dd></div>`)}
  </dl>`;
}
