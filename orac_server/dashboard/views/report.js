// What one run measured, and the same as a file.

import { html, useEffect, useState } from "../vendor/preact.js";
import { get, getText } from "../api.js";
import { Scatter } from "../charts.js";
import { bytes, change, date, milliseconds, or, rate, short } from "../format.js";
import { Trouble, download } from "../widgets.js";

const FORMS = {
  json: ["JSON", "application/json"],
  csv: ["CSV", "text/csv"],
  markdown: ["Markdown", "text/markdown"],
  html: ["HTML", "text/html"],
  benchstat: ["benchstat", "text/plain"],
};
const ENDINGS = { markdown: "md", benchstat: "txt" };

const VERDICTS = { ok: "as usual", slower: "▲ slower", degraded: "▲ degraded" };

/** A median with its interval, in words. */
export function figure(of, format) {
  if (!of || of.p50 === null) return html`<span class="hint">not measured</span>`;
  const interval = of.ci95 ? `${format(of.ci95[0])} to ${format(of.ci95[1])}` : null;
  return html`${format(of.p50)}${interval && html`<span class="hint">${interval}</span>`}`;
}

export function Report({ id, known }) {
  const [state, setState] = useState([known?.id === id ? known : null, null]);
  const [report, error] = state;
  useEffect(() => {
    if (report) return;
    get(`/v1/benchmarks/${encodeURIComponent(id)}?samples=false`)
      .then((found) => setState([found, null]))
      .catch((failure) => setState([null, failure.message]));
  }, [id]);
  if (!report) return error ? html`<${Trouble}>${error}<//>` : html`<p class="hint">Asking for the run …</p>`;
  return html`<section class="card" aria-labelledby="report">
    <h2 id="report">Run of ${date(report.started_at)} <span class="hint">${report.suite}, ${report.ended}</span></h2>
    <${Results} results=${report.results} />
    ${report.verification && html`<p>${report.verification.trusted ? "✓ Can be trusted" : "▲ Not to be trusted"}: ${report.verification.verdict}</p>`}
    <${Scatter} title="Speed against quality" across="tokens/s" up="quality" points=${points(report.results)} />
    <${Export} id=${report.id} />
  </section>`;
}

export function points(results) {
  return results
    .filter((each) => each.decode_tokens_per_second?.p50 && each.quality?.score != null)
    .map((each) => ({ name: each.model, x: each.decode_tokens_per_second.p50, y: each.quality.score }));
}

const HEADINGS = ["Model", "Whole answer", "First token", "Writing", "Reading", "Load", "Memory", "Energy", "Quality", "Against its baseline"];

function Results({ results }) {
  return html`<p class="hint">Medians with their 95 % intervals, the quickest answer first.</p>
    <div class="scroll">
      <table>
        <thead><tr>${HEADINGS.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
        <tbody>${results.map((each) => html`<${Result} key=${each.model} of=${each} />`)}</tbody>
      </table>
    </div>`;
}

function Result({ of }) {
  if (of.error) {
    return html`<tr><th scope="row">${of.model}</th><td class="error" colspan=${HEADINGS.length - 1}>${of.error}</td></tr>`;
  }
  const against = of.baseline && `${VERDICTS[of.baseline.verdict] ?? of.baseline.verdict} (${change(of.baseline.ratio - 1)})`;
  return html`<tr>
    <th scope="row">${of.model}</th>
    <td class="number">${figure(of.latency_ms, milliseconds)}</td>
    <td class="number">${figure(of.ttft_ms, milliseconds)}</td>
    <td class="number">${figure(of.decode_tokens_per_second, rate)}</td>
    <td class="number">${figure(of.prefill_tokens_per_second, rate)}</td>
    <td class="number">${or(of.load_ms, milliseconds, "–")}</td>
    <td class="number">${or(of.memory?.bytes, bytes, "–")}</td>
    <td class="number">${or(of.energy?.gross_j_per_token, (joules) => `${short(joules)} J/token`, "–")}</td>
    <td class="number">${or(of.quality?.score, short, "–")}</td>
    <td class="number">${against ?? "–"}</td>
  </tr>`;
}

function Export({ id }) {
  const [error, setError] = useState(null);
  const save = async (form) => {
    try {
      const text = await getText(`/v1/benchmarks/${encodeURIComponent(id)}?format=${form}`);
      download(`${id}.${ENDINGS[form] ?? form}`, text, FORMS[form][1]);
      setError(null);
    } catch (failure) {
      setError(failure.message);
    }
  };
  return html`<div class="buttons">
      <span class="hint">Save as</span>
      ${Object.entries(FORMS).map(([form, [title]]) => html`<button type="button" onClick=${() => save(form)}>${title}</button>`)}
    </div>
    <${Trouble}>${error}<//>`;
}
