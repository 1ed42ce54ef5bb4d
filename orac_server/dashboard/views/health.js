// What ORAC is made of and whether each part is well; what happened; and all of it to send.

import { html, useState } from "../vendor/preact.js";
import { get } from "../api.js";
import { bytes, clock, milliseconds, or, rate, told } from "../format.js";
import { nameOf, useStore } from "../store.js";
import { Copy, Facts, State, Trouble, download } from "../widgets.js";
import { Findings } from "./benchmark.js";
import { Roles } from "./roles.js";

export function Health() {
  const health = useStore((state) => state.health);
  if (!health) return html`<p class="hint">Asking the server how it is …</p>`;
  return html`<section class="card" aria-labelledby="state">
      <h2 id="state" aria-live="polite"><${State} of=${health.status} />: ${health.message}</h2>
      <${Flaws} flaws=${health.degradation} />
    </section>
    <${Instances} instances=${health.instances} />
    <${Roles} />
    <${Plugins} plugins=${health.plugins} versions=${health.versions} />
    <${Happened} />
    <${Diagnostics} />`;
}

function Flaws({ flaws }) {
  if (!flaws.length) return html`<p class="hint">Nothing is worse than it could be.</p>`;
  return html`<ul class="flaws">
    ${flaws.map(
      (each) => html`<li>
        <strong>${each.model ?? each.instance ?? each.plugin ?? each.role ?? each.service}</strong>${" "}
        <span class="hint">${each.kind}</span>
        <p>${each.message}</p>
        ${each.findings.length > 0 && html`<${Findings} findings=${each.findings} />`}
      </li>`,
    )}
  </ul>`;
}

function Instances({ instances }) {
  const rows = Object.entries(instances);
  return html`<section class="card" aria-labelledby="instances">
    <h2 id="instances">Instances</h2>
    ${!rows.length && html`<p class="hint">No backend is configured.</p>`}
    <div class="scroll">
      <table>
        <thead><tr><th scope="col">Name</th><th scope="col">Kind</th><th scope="col">State</th><th scope="col">Version</th><th scope="col">What it says</th></tr></thead>
        <tbody>
          ${rows.map(
            ([name, each]) => html`<tr key=${name}>
              <th scope="row">${name}</th>
              <td>${each.kind}</td>
              <td><${State} of=${each.usable ? "usable" : "broken"} /><${Spared} breaker=${each.breaker} /></td>
              <td>${or(each.version, String)}</td>
              <td>${[each.message, ...each.warnings.map((text) => `▲ ${text}`)].filter(Boolean).map((text) => html`<p>${text}</p>`)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

/** Whether a backend is left alone for a while, as it could not be reached; nothing when it is not. */
function Spared({ breaker }) {
  if (breaker.state === "closed") return null;
  const words = breaker.state === "open" ? "spared" : "being tried again, spared";
  return html` <span class="hint">${words} since ${clock(breaker.since)}</span>`;
}

function Plugins({ plugins, versions }) {
  const broken = Object.entries(plugins.broken);
  return html`<section class="card" aria-labelledby="plugins">
    <h2 id="plugins">Plugins</h2>
    <ul class="flaws">
      ${plugins.loaded.map((name) => html`<li key=${name}><${State} of="usable" /> <strong>${name}</strong></li>`)}
      ${broken.map(([name, reason]) => html`<li key=${name}><${State} of="broken" /> <strong>${name}</strong><p>${reason}</p></li>`)}
    </ul>
    <${Facts} facts=${[["ORAC", versions.orac], ["Python", versions.python]]} />
  </section>`;
}

/** An event in words. */
export function words(event) {
  const name = event.model ? nameOf(event) : "";
  const of = {
    model: () => `${name} went from ${event.previous} to ${event.state}${event.reason ? `: ${event.reason}` : ""}`,
    answer: () =>
      [
        `${name} ${event.error ? `failed to answer: ${event.error}` : "answered"}`,
        or(event.elapsed_ms, milliseconds, null),
        or(event.decode_tokens_per_second, rate, null),
        event.served_by_fallback && `in place of the first model of ${event.role}`,
      ]
        .filter(Boolean)
        .join(", "),
    fallback: () => `${event.role}: ${event.failed} did not answer (${event.error}), ${event.next} is asked`,
    breaker: () =>
      event.state === "closed"
        ? `${event.instance} is used again`
        : `${event.instance} is spared: it could not be reached`,
    provision: () =>
      [`${event.role}: ${event.model} ${event.action}`, event.reason, event.fetched_bytes > 0 && `${bytes(event.fetched_bytes)} fetched`]
        .filter(Boolean)
        .join(", "),
    health: () => `${event.status}: ${event.message}`,
    finding: () => `${name}: ${event.message ?? event.verdict ?? "was examined"}`,
    baseline: () => `${name} usually writes ${rate(event.tokens_per_second)}`,
    benchmark: () => `benchmark ${[event.stage, event.model, event.message].filter(Boolean).join(", ")}`,
    progress: () => `${name}: ${event.stage} ${event.message ?? ""}`,
    lost: () => `${event.events} events were not told: this page was too slow`,
  }[event.kind];
  return of ? of() : [event.message, event.reason].filter(told).join(" ") || event.kind;
}

function Log({ events, label }) {
  return html`<div class="log" tabindex="0" role="log" aria-label=${label} aria-live="off"><ol>
    ${events.map((each) => html`<li><time datetime=${each.at}>${clock(each.at)}</time> <span class="tag">${each.kind}</span> ${words(each)}</li>`)}
  </ol></div>`;
}

function Happened() {
  const events = useStore((state) => state.events);
  return html`<section class="card" aria-labelledby="happened">
    <h2 id="happened">Since this page was opened</h2>
    ${events.length ? html`<${Log} events=${events} label="What happened" />` : html`<p class="hint">Nothing has happened.</p>`}
  </section>`;
}

const asked = () => get("/v1/diagnostics");

function Diagnostics() {
  const [state, setState] = useState([null, null]);
  const [found, error] = state;
  const show = async () => {
    try {
      setState([await asked(), null]);
    } catch (failure) {
      setState([null, failure.message]);
    }
  };
  const text = async () => JSON.stringify(await asked(), null, 2);
  const save = async () => {
    try {
      download("orac-diagnostics.json", await text(), "application/json");
    } catch (failure) {
      setState([null, failure.message]);
    }
  };
  const events = found?.events.filter((each) => each.kind !== "sample").reverse();
  return html`<section class="card" aria-labelledby="diagnostics">
    <h2 id="diagnostics">Diagnostics</h2>
    <p class="hint">
      All that helps to understand a fault, without prompts, answers and secrets. Look through it before you send it.
    </p>
    <div class="buttons">
      <${Copy} text=${text}>Copy diagnostics<//>
      <button type="button" onClick=${save}>Save diagnostics</button>
      <button type="button" onClick=${show}>Show the log of the last minutes</button>
    </div>
    <${Trouble}>${error}<//>
    ${events && (events.length ? html`<${Log} events=${events} label="Log of the last minutes" />` : html`<p class="hint">No log is kept: there is no folder for it.</p>`)}
  </section>`;
}
