// What the machine said in the last hour: a fixed number of samples, whatever time passes.

export const MOST = 3600;

export const MEASURES = {
  available: (sample) => sample.memory_available_bytes,
  gpu: (sample) => sample.gpu_load_ratio,
  cpu: (sample) => sample.cpu_load_ratio,
  hottest: (sample) => sample.hottest_c,
  power: (sample) => sample.power?.watts ?? null,
};

export class Series {
  constructor(most = MOST) {
    this.most = most;
    this.times = [];
    this.values = Object.fromEntries(Object.keys(MEASURES).map((name) => [name, []]));
    this.last = null;
  }

  add(sample) {
    this.last = sample;
    this.times.push(Date.parse(sample.at) / 1000);
    for (const [name, of] of Object.entries(MEASURES)) this.values[name].push(of(sample));
    if (this.times.length > this.most) this.forgetOldest();
  }

  forgetOldest() {
    this.times.shift();
    for (const values of Object.values(this.values)) values.shift();
  }

  /** The lowest and the highest value of a measure; null when nothing told it. */
  range(name) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of this.values[name]) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return low <= high ? [low, high] : null;
  }
}
