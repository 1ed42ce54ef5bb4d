// Whether all is well, what the machine is doing, and who has its memory.

import { html } from "../vendor/preact.js";
import { LineChart } from "../charts.js";
import { bytes, celsius, hertz, listed, or, percent, span, told, watts } from "../format.js";
import { nameOf, store, useStore } from "../store.js";
import { Facts, State, Trouble } from "../widgets.js";

export function Overview() {
  const health = useStore((state) => state.health);
  const models = useStore((state) => state.models);
  const error = useStore((state) => state.modelsError);
  if (!health) return html`<p class="hint">Asking the server how it is …</p><${Trouble}>${error}<//>`;
  return html`<${Verdict} health=${health} />
    <${Memory} health=${health} models=${models ?? []} />
    <${Machine} health=${health} />
    <${Trends} health=${health} />
    <${Untold} health=${health} />`;
}

function Verdict({ health }) {
  const { status, message, loaded_count: loaded, total_count: total, uptime_s: up } = health;
  return html`<section class="card" aria-labelledby="verdict">
    <h2 id="verdict" aria-live="polite"><${State} of=${status} />: ${message}</h2>
    <p class="hint">
      ${loaded} of ${total} ${total === 1 ? "model" : "models"} loaded · running for ${span(up)}
      ${health.starting.length > 0 && ` · loading at the start: ${listed(health.starting)}`}
    </p>
    ${health.degradation.length > 0 &&
    html`<ul class="flaws">
      ${health.degradation.map((each) => html`<li><strong>${subject(each)}</strong>: ${each.message}</li>`)}
    </ul>`}
  </section>`;
}

const subject = (flaw) => flaw.model ?? flaw.instance ?? flaw.plugin ?? flaw.role ?? flaw.service ?? flaw.kind;

/** Who has how much of so many bytes: [name, bytes, class]; what is left over is others'. */
export function shares(total, free, cache, models) {
  const known = [...models, ["page cache", cache, "cache"], ["free", free, "free"]];
  const parts = known.filter(([, size]) => size > 0);
  const rest = total - parts.reduce((sum, [, size]) => sum + size, 0);
  const at = parts.findIndex(([, , kind]) => kind !== "model");
  if (rest > 0) parts.splice(at < 0 ? parts.length : at, 0, ["other programs", rest, "other"]);
  return parts;
}

function Memory({ health, models }) {
  const { memory, gpu } = health;
  const loaded = models.filter((each) => told(each.memory.measured_bytes) && !each.remote);
  const separate = told(gpu?.memory_total_bytes) && memory.unified !== true;
  const on = (each) => (separate ? (each.memory.on_gpu_ratio ?? 0) * each.memory.measured_bytes : 0);
  const host = loaded.map((each) => [nameOf(each), each.memory.measured_bytes - on(each), "model"]);
  const video = loaded.map((each) => [nameOf(each), on(each), "model"]);
  const kind = { true: "shared by CPU and GPU", false: "the GPU has its own" }[memory.unified];
  return html`<section class="card" aria-labelledby="memory">
    <h2 id="memory">Memory <span class="hint">${kind ?? "whether the GPU shares it is not told"}</span></h2>
    ${told(memory.total_bytes)
      ? html`<${Bar}
          label="Memory"
          total=${memory.total_bytes}
          parts=${shares(memory.total_bytes, memory.free_bytes, memory.page_cache_bytes, host)}
        />`
      : html`<p class="untold">This machine does not tell how much memory it has.</p>`}
    ${separate &&
    html`<${Bar}
      label="GPU memory"
      total=${gpu.memory_total_bytes}
      parts=${shares(gpu.memory_total_bytes, gpu.memory_total_bytes - (gpu.memory_used_bytes ?? 0), null, video)}
    />`}
    <p class="hint">
      ${or(memory.available_bytes, (size) => `${bytes(size)} available without swapping`, "")}
      ${told(memory.limit_bytes) && ` · this process may use ${bytes(memory.limit_bytes)}`}
    </p>
  </section>`;
}

function Bar({ label, total, parts }) {
  const words = parts.map(([name, size]) => `${name} ${bytes(size)}`).join(", ");
  return html`<div class="memory">
    <p class="hint">${label}: ${bytes(total)}</p>
    <div class="bar" role="img" aria-label="${label}, ${bytes(total)}: ${words}">
      ${parts.map(
        ([name, size, kind]) =>
          html`<span key=${name} class=${kind} title="${name}: ${bytes(size)}" style=${{ width: `${(100 * size) / total}%` }}></span>`,
      )}
    </div>
    <ul class="legend">
      ${parts.map(([name, size, kind]) => html`<li key=${name}><span class="swatch ${kind}" aria-hidden="true"></span>${name} <b>${bytes(size)}</b></li>`)}
    </ul>
  </div>`;
}

/** The hottest sensor of all: [its name, °C, what it may reach]. */
export function hottest(device, gpu) {
  const found = Object.entries(device?.temperatures ?? {}).filter(([, degrees]) => told(degrees));
  if (told(gpu?.temperature_c)) found.push(["GPU", gpu.temperature_c]);
  const [name, degrees] = found.sort((one, other) => other[1] - one[1])[0] ?? [null, null];
  const limits = device?.temperature_limits?.[name];
  const own = limits?.passive_c ?? limits?.critical_c ?? null;
  return [name, degrees, name === "GPU" ? (gpu.temperature_limit_c ?? own) : own];
}

export function facts(health, sample) {
  const { device, gpu } = health;
  const [sensor, degrees, limit] = hottest(device, gpu);
  const power = sample?.power ?? device?.power;
  return [
    ["Device", device?.board ?? null, device?.jetpack && `JetPack ${device.jetpack}`],
    ["Power mode", device?.power_mode ?? null, device?.jetson_clocks ? "clocks fixed at their highest" : ""],
    ["GPU", gpu?.name ?? null, gpu?.cuda && `CUDA ${gpu.cuda}`],
    ["GPU load", or(sample?.gpu_load_ratio ?? gpu?.load_ratio, percent, null)],
    ["CPU load", or(sample?.cpu_load_ratio ?? device?.cpu_load_ratio, percent, null)],
    ["CPU clock", or(device?.cpu_frequency_hz, hertz, null), or(device?.cpu_frequency_max_hz, (most) => `of ${hertz(most)}`, "")],
    ["Temperature", or(sample?.hottest_c ?? degrees, celsius, null), `${sample?.hottest ?? sensor ?? ""}${or(limit, (most) => `, clocks are lowered at ${celsius(most)}`, "")}`],
    ["Power", or(power?.watts, watts, null), power?.source],
    ["Throttling", or(sample?.throttling ?? device?.throttling, (flag) => (flag ? "▲ clocks are lowered now" : "no"), null)],
  ];
}

function Machine({ health }) {
  useStore((state) => state.sampled);
  return html`<section class="card" aria-labelledby="machine">
    <h2 id="machine">Machine</h2>
    <${Facts} facts=${facts(health, store.samples.last)} />
  </section>`;
}

const TRENDS = [
  ["available", "Available memory", bytes],
  ["gpu", "GPU load", percent, [0, 1]],
  ["cpu", "CPU load", percent, [0, 1]],
  ["hottest", "Hottest sensor", celsius],
  ["power", "Power", watts],
];

function Trends() {
  useStore((state) => state.sampled);
  const { samples } = store;
  const shown = TRENDS.filter(([name]) => samples.range(name));
  if (!shown.length) return null;
  return html`<section class="card" aria-labelledby="trends">
    <h2 id="trends">Since this page was opened <span class="hint">one hour at most</span></h2>
    <div class="charts">
      ${shown.map(([name, title, format, limits]) => {
        const [low, high] = samples.range(name);
        const now = samples.values[name].at(-1);
        const summary = `${or(now, format)} now, ${format(low)} to ${format(high)}`;
        return html`<${LineChart}
          key=${name}
          title=${title}
          summary=${summary}
          times=${samples.times}
          values=${samples.values[name]}
          format=${format}
          limits=${limits}
        />`;
      })}
    </div>
  </section>`;
}

function Untold({ health }) {
  const missing = facts(health, store.samples.last).filter(([, value]) => !told(value));
  if (!missing.length) return null;
  const names = listed(missing.map(([name]) => name));
  return html`<p class="hint">Not told by this machine: ${names}. <code>orac doctor</code> says why.</p>`;
}
