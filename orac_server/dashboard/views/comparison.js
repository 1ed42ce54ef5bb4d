// What has changed from one run to another, and what chance alone may have done.

import { html, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { change, date, or, short } from "../format.js";
import { Trouble, useAnswer } from "../widgets.js";

const VERDICTS = {
  better: "▲ better",
  worse: "▼ worse",
  same: "~ not distinguishable",
  unknown: "? too little to tell",
};

export function Comparison({ runs }) {
  const [ids, setIds] = useState([runs[1].id, runs[0].id]);
  const [old, now] = ids;
  const ask = () => get(`/v1/benchmarks/${encodeURIComponent(now)}?against=${encodeURIComponent(old)}`);
  const [found, error] = useAnswer(ask, [old, now]);
  const choice = (index, label) => html`<div>
    <label for="run-${index}">${label}</label>
    <select id="run-${index}" value=${ids[index]} onChange=${(event) => setIds(ids.with(index, event.target.value))}>
      ${runs.map((run) => html`<option value=${run.id}>${date(run.started_at)}, ${run.suite}</option>`)}
    </select>
  </div>`;
  return html`<section class="card" aria-labelledby="compare">
    <h2 id="compare">Compare two runs</h2>
    <div class="grid">${choice(0, "From")} ${choice(1, "To")}</div>
    <${Trouble}>${error}<//>
    ${found && !error && html`<${Changes} found=${found} />`}
  </section>`;
}

function Changes({ found }) {
  const rows = found.results.flatMap((each) => each.changes.map((changed) => ({ ...each, ...changed })));
  return html`${found.differences.length > 0 &&
    html`<p>▲ Not the same in both: ${found.differences.map((each) => each.message).join("; ")}</p>`}
    ${rows.length === 0 && html`<p class="hint">Nothing was measured in both.</p>`}
    <div class="scroll">
      <table>
        <thead>
          <tr><th scope="col">Model</th><th scope="col">Figure</th><th scope="col">From</th><th scope="col">To</th><th scope="col">Change</th><th scope="col">Verdict</th></tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) => html`<tr>
              <th scope="row">${row.model}<span class="hint">${row.workload}</span></th>
              <td>${row.metric.replaceAll("_", " ")}</td>
              <td class="number">${or(row.old?.median, short, "–")}</td>
              <td class="number">${or(row.new?.median, short, "–")}</td>
              <td class="number">${or(row.ratio, change, "–")}</td>
              <td>${VERDICTS[row.verdict] ?? row.verdict}${row.p !== null && html`<span class="hint">p = ${short(row.p)}</span>`}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
