// Measuring: run it, look at what was measured, compare two runs, and why a model got slow.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact.js";
import { get, post, stream } from "../api.js";
import { LineChart } from "../charts.js";
import { date, milliseconds, percent, rate, short, told } from "../format.js";
import { nameOf, store, useStore } from "../store.js";
import { Progress, Trouble, useAnswer } from "../widgets.js";
import { Comparison } from "./comparison.js";
import { Report } from "./report.js";

const KEPT = 50;

export function Benchmark({ rest }) {
  const [runs, error, again] = useAnswer(() => get(`/v1/benchmarks?limit=${KEPT}`), []);
  const [report, setReport] = useState(null);
  const [id, setId] = useState(rest || null);
  const list = runs?.data ?? [];
  const shown = id ?? list[0]?.id ?? null;
  const ended = (document) => {
    setReport(document);
    setId(document.id);
    again();
  };
  return html`<${Run} ended=${ended} />
    <${Trouble}>${error}<//>
    ${runs && !list.length && html`<p class="hint">Nothing was measured yet.</p>`}
    ${list.length > 0 && html`<${Runs} runs=${list} shown=${shown} show=${setId} />`}
    ${shown && html`<${Report} key=${shown} id=${shown} known=${report} />`}
    ${list.length > 1 && html`<${Comparison} runs=${list} />`}
    ${list.length > 1 && html`<${History} runs=${list} />`}
    <${Slow} />`;
}

function Run({ ended }) {
  const models = useStore((state) => state.models) ?? [];
  const other = useStore((state) => state.benchmark);
  const [asked, setAsked] = useState({ models: [], suite: "latency", rounds: "", max_tokens: "", prompts: "" });
  const [state, setState] = useState({ busy: false, error: null, progress: null });
  const leaving = useRef(null);
  const set = (changes) => setAsked({ ...asked, ...changes });
  useEffect(() => () => leaving.current?.abort(), []);
  const run = async (event) => {
    event.preventDefault();
    leaving.current = new AbortController();
    await measured(wanted(asked), leaving.current.signal, setState, ended);
  };
  const stop = () => leaving.current?.abort();
  return html`<form class="card" onSubmit=${run} aria-labelledby="run">
    <h2 id="run">Measure</h2>
    <${Chosen} models=${models} chosen=${asked.models} choose=${(names) => set({ models: names })} />
    <${Terms} asked=${asked} set=${set} />
    <div class="buttons">
      <button class="primary" disabled=${state.busy}>Run</button>
      <button type="button" disabled=${!state.busy} onClick=${stop}>Stop</button>
      <span class="hint">Leaving this view stops it too; what was measured is kept.</span>
    </div>
    <${Progress} of=${state.progress ?? (other && { ...other, message: steps(other) })} label="Progress of the benchmark" />
    <${Trouble}>${state.error}<//>
  </form>`;
}

async function measured(body, signal, setState, ended) {
  setState({ busy: true, error: null, progress: { stage: "starting", message: "starting …" } });
  try {
    for await (const { name, data } of stream("/v1/benchmark", body, signal)) {
      if (name === "done") ended(data);
      else if (name === "progress") {
        setState({ busy: true, error: null, progress: { ...data, message: steps(data) } });
      }
    }
    setState({ busy: false, error: null, progress: null });
  } catch (error) {
    setState({ busy: false, error: signal.aborted ? "stopped" : error.message, progress: null });
  }
  store.set({ benchmark: null });
}

const steps = ({ stage, model, message }) => [stage, model, message].filter(Boolean).join(" · ");

/** The body of the request: only what was given. */
export function wanted({ models, suite, rounds, max_tokens: longest, prompts }) {
  const texts = prompts.split("\n").filter((line) => line.trim());
  return {
    suite,
    ...(models.length ? { models } : {}),
    ...(rounds ? { rounds: Number(rounds) } : {}),
    ...(longest ? { max_tokens: Number(longest) } : {}),
    ...(texts.length ? { prompts: texts } : {}),
  };
}

function Chosen({ models, chosen, choose }) {
  const toggle = (name, on) => choose(on ? [...chosen, name] : chosen.filter((each) => each !== name));
  const usable = models.filter((each) => each.state !== "failed");
  return html`<fieldset>
    <legend>Models <span class="hint">none: those that are loaded</span></legend>
    <div class="checks">
      ${usable.map(
        (each) => html`<label class="check" key=${nameOf(each)}>
          <input type="checkbox" checked=${chosen.includes(nameOf(each))} onChange=${(event) => toggle(nameOf(each), event.target.checked)} />
          ${nameOf(each)}${each.state === "ready" && html` <span class="hint">ready</span>`}
        </label>`,
      )}
    </div>
  </fieldset>`;
}

function Terms({ asked, set }) {
  const number = (key, title) => html`<div>
    <label for=${key}>${title}</label>
    <input id=${key} type="number" min="1" placeholder="as configured" value=${asked[key]} onInput=${(event) => set({ [key]: event.target.value })} />
  </div>`;
  return html`<div class="grid">
      <div>
        <label for="suite">What</label>
        <select id="suite" value=${asked.suite} onChange=${(event) => set({ suite: event.target.value })}>
          <option value="latency">speed</option>
          <option value="quality">quality</option>
          <option value="full">speed, quality and loads</option>
        </select>
      </div>
      ${number("rounds", "Rounds")} ${number("max_tokens", "Longest answer (tokens)")}
    </div>
    <label for="prompts">Prompts of your own <span class="hint">one a line; none: 512 random tokens</span></label>
    <textarea id="prompts" rows="2" value=${asked.prompts} onInput=${(event) => set({ prompts: event.target.value })}></textarea>`;
}

function Runs({ runs, shown, show }) {
  return html`<section class="card" aria-labelledby="runs">
    <h2 id="runs">Runs that are kept</h2>
    <div class="scroll short">
      <table>
        <thead>
          <tr><th scope="col">When</th><th scope="col">What</th><th scope="col">Models</th><th scope="col">Took</th><th scope="col">Ended</th></tr>
        </thead>
        <tbody>
          ${runs.map(
            (run) => html`<tr key=${run.id} class=${run.id === shown ? "chosen" : ""}>
              <th scope="row"><button type="button" class="name" aria-pressed=${run.id === shown} onClick=${() => show(run.id)}>${date(run.started_at)}</button></th>
              <td>${run.suite}</td>
              <td>${run.results.map((each) => each.model).join(", ")}</td>
              <td class="number">${milliseconds(run.elapsed_ms)}</td>
              <td>${run.ended}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

const MEASURES = {
  decode_tokens_per_second: ["Writing speed", rate],
  ttft_ms: ["First token", milliseconds],
  latency_ms: ["Whole answer", milliseconds],
  quality_score: ["Quality", short],
};

/** The values of one measure of one model, the oldest first. */
export function course(runs, model, measure) {
  const points = runs
    .flatMap((run) => run.results.map((each) => ({ ...each, at: Date.parse(run.started_at) / 1000 })))
    .filter((each) => each.model === model && told(each[measure]))
    .sort((one, other) => one.at - other.at);
  return [points.map((each) => each.at), points.map((each) => each[measure])];
}

function History({ runs }) {
  const names = [...new Set(runs.flatMap((run) => run.results.map((each) => each.model)))].sort();
  const [model, setModel] = useState(names[0]);
  const [measure, setMeasure] = useState("decode_tokens_per_second");
  const [times, values] = useMemo(() => course(runs, model, measure), [runs, model, measure]);
  const [title, format] = MEASURES[measure];
  const summary = values.length
    ? `${values.length} runs, the newest ${format(values.at(-1))}, ${format(Math.min(...values))} to ${format(Math.max(...values))}`
    : "not measured";
  return html`<section class="card" aria-labelledby="history">
    <h2 id="history">Over time</h2>
    <div class="grid">
      <div><label for="of">Model</label>
        <select id="of" value=${model} onChange=${(event) => setModel(event.target.value)}>${names.map((each) => html`<option value=${each}>${each}</option>`)}</select></div>
      <div><label for="measure">Figure</label>
        <select id="measure" value=${measure} onChange=${(event) => setMeasure(event.target.value)}>
          ${Object.entries(MEASURES).map(([key, [words]]) => html`<option value=${key}>${words}</option>`)}
        </select></div>
    </div>
    <${LineChart} key="${model} ${measure}" title="${title} of ${model}" summary=${summary} times=${times} values=${values} format=${format} points />
  </section>`;
}

const SLOW = "models served worse than they could be";

/** Models that got slow as health tells it, and a look at any loaded one. */
function Slow() {
  const flaws = useStore((state) => state.health?.degradation) ?? [];
  const models = useStore((state) => state.models) ?? [];
  const ready = models.filter((each) => each.state === "ready");
  const slow = flaws.filter((each) => each.kind === SLOW);
  return html`<section class="card" aria-labelledby="slow">
    <h2 id="slow">Has a model become slow?</h2>
    ${!slow.length && html`<p class="hint">None that is known.</p>`}
    ${slow.map((each) => html`<h3>${each.model}</h3><p>${each.message}</p><${Findings} findings=${each.findings} />`)}
    ${ready.map((each) => html`<${Examined} key=${nameOf(each)} name=${nameOf(each)} />`)}
  </section>`;
}

function Examined({ name }) {
  const [state, setState] = useState({ busy: false, found: null, error: null });
  const look = async () => {
    setState({ busy: true, found: null, error: null });
    try {
      setState({ busy: false, found: await post("/v1/doctor/degradation", { model: name }), error: null });
    } catch (error) {
      setState({ busy: false, found: null, error: error.message });
    }
  };
  return html`<div class="examined">
    <button type="button" disabled=${state.busy} onClick=${look}>Examine ${name}</button>
    <span role="status">${state.busy ? " asking it for a few short answers …" : state.found && ` ${state.found.summary}`}</span>
    <${Trouble}>${state.error}<//>
    ${state.found && html`<${Findings} findings=${state.found.findings} />`}
  </div>`;
}

export function Findings({ findings }) {
  if (!findings.length) return html`<p class="hint">No cause was found.</p>`;
  return html`<ul class="findings">
    ${findings.map(
      (each) => html`<li>
        <strong>${each.cause.replaceAll("_", " ")}</strong> <span class="hint">${percent(each.likelihood)} likely</span>
        <ul>${each.evidence.map((text) => html`<li>${text}</li>`)}</ul>
        ${each.remedy && html`<p>To do: ${each.remedy}</p>`} ${each.command && html`<pre tabindex="0">${each.command}</pre>`}
      </li>`,
    )}
  </ul>`;
}
