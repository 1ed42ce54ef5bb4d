// Charts: lines over time by uPlot, and small drawings of our own. Each says in words what it shows.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { clock, day, short } from "./format.js";
import { whenColoured } from "./theme.js";

const HEIGHT = 130;
let loading = null;

/** uPlot is a plain script, fetched with its styles when the first chart is drawn. */
function uplot() {
  loading ??= new Promise((resolve, reject) => {
    const styles = document.createElement("link");
    styles.rel = "stylesheet";
    styles.href = "/dashboard/vendor/uplot.css";
    const script = document.createElement("script");
    script.src = "/dashboard/vendor/uplot.js";
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => reject(new Error("uplot.js can not be fetched"));
    document.head.append(styles, script);
  });
  return loading;
}

function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Times in seconds and values, null where nothing was told. */
export function LineChart({ title, summary, times, values, format, points = false, limits = null }) {
  const place = useRef();
  const chart = useRef(null);
  useEffect(() => {
    let gone = false;
    uplot().then((Plot) => {
      if (gone || !place.current) return;
      chart.current = new Plot(options(place.current, format, points, limits), [times, values]);
      place.current.append(chart.current.root);
    });
    const sizes = new ResizeObserver(() => fit(chart.current, place.current));
    sizes.observe(place.current);
    const leave = whenColoured(() => chart.current?.recoloured());
    return () => {
      gone = true;
      sizes.disconnect();
      leave();
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);
  useEffect(() => chart.current?.setData([times, values]));
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> <span class="hint">${summary}</span></figcaption>
    <div class="plot" ref=${place} aria-hidden="true"></div>
  </figure>`;
}

function fit(chart, place) {
  if (chart && place?.clientWidth) chart.setSize({ width: place.clientWidth, height: HEIGHT });
}

function options(place, format, points, limits) {
  const colours = {};
  const take = () => {
    for (const name of ["--accent", "--faint", "--line"]) colours[name] = resolved(name);
  };
  take();
  const axis = {
    stroke: () => colours["--faint"],
    grid: { stroke: () => colours["--line"], width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return {
    width: place.clientWidth || 300,
    height: HEIGHT,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false },
    scales: { y: { range: (_, low, high) => bounds(low, high, limits) } },
    axes: [{ ...axis, size: 28, incrs: SECONDS, space: 90, values: moments }, { ...axis, size: 68, values: (_, ticks) => ticks.map(format) }],
    series: [
      {},
      {
        stroke: () => colours["--accent"],
        width: 1.5,
        points: { show: points, fill: () => colours["--accent"] },
      },
    ],
    hooks: {
      init: [
        (chart) => {
          chart.recoloured = () => {
            take();
            chart.redraw(false);
          };
        },
      ],
    },
  };
}

const DAY = 86_400;
const SECONDS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 4 * 3600, DAY, 7 * DAY, 30 * DAY, 365 * DAY];

function moments(_chart, ticks, _axis, _space, step) {
  return ticks.map((at) => (step < DAY ? clock(1000 * at) : day(1000 * at)));
}

function bounds(low, high, limits) {
  if (limits) return limits;
  if (low === null) return [0, 1];
  const room = Math.max((high - low) * 0.1, Math.abs(high) * 0.02, 1e-9);
  return [Math.max(low < 0 ? -Infinity : 0, low - room), high + room];
}

/** A small line of the last rates with the usual one dashed; its words are its label. */
export function Sparkline({ rates, baseline }) {
  if (!rates.length) return null;
  const [width, height] = [72, 20];
  const top = Math.max(...rates, baseline ?? 0) || 1;
  const y = (rate) => (height - 2 - (rate / top) * (height - 4)).toFixed(1);
  const step = width / Math.max(rates.length - 1, 1);
  const line = rates.map((rate, index) => `${(index * step).toFixed(1)},${y(rate)}`).join(" ");
  const usual = baseline ? `; usual ${short(baseline)}` : "";
  const label = `last ${rates.length} answers: ${short(rates[0])} to ${short(rates.at(-1))}`;
  return html`<svg class="spark" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}${usual}">
    ${baseline && html`<line class="usual" x1="0" x2=${width} y1=${y(baseline)} y2=${y(baseline)} />`}
    ${rates.length > 1 ? html`<polyline points=${line} />` : html`<circle cx="3" cy=${y(rates[0])} r="2.5" />`}
  </svg>`;
}

const [WIDE, TALL, LEFT, BELOW] = [480, 240, 48, 34];

/** Points of two measures, numbered as in the list beneath. */
export function Scatter({ title, across, up, points }) {
  if (!points.length) return null;
  const far = niceTop(Math.max(...points.map((each) => each.x)));
  const x = (value) => LEFT + (value / far) * (WIDE - LEFT - 16);
  const y = (value) => TALL - BELOW - (value / 100) * (TALL - BELOW - 12);
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong></figcaption>
    <svg class="scatter" viewBox="0 0 ${WIDE} ${TALL}" aria-hidden="true">
      ${[0, 0.25, 0.5, 0.75, 1].map(
        (share) => html`
          <line class="grid" x1=${LEFT} x2=${WIDE - 16} y1=${y(100 * share)} y2=${y(100 * share)} />
          <text x=${LEFT - 8} y=${y(100 * share) + 4} text-anchor="end">${100 * share}</text>
          <text x=${x(far * share)} y=${TALL - BELOW + 16} text-anchor="middle">${short(far * share)}</text>
        `,
      )}
      <text x=${(WIDE + LEFT) / 2} y=${TALL - 3} text-anchor="middle">${across}</text>
      <text x="12" y="10">${up}</text>
      ${points.map(
        (each, index) => html`<circle cx=${x(each.x)} cy=${y(each.y)} r="9" />
          <text class="number" x=${x(each.x)} y=${y(each.y) + 4} text-anchor="middle">${index + 1}</text>`,
      )}
    </svg>
    <ol class="hint">
      ${points.map((each) => html`<li>${each.name}: ${short(each.x)} ${across}, ${up} ${short(each.y)}</li>`)}
    </ol>
  </figure>`;
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 2, 4, 5, 8, 10].map((each) => each * power).find((each) => each >= value) ?? value;
}
