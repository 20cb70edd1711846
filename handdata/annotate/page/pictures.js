// Pictures as bitmaps, fetched ahead of where the person is going. The server shrinks them to the screen.
const AHEAD = 40, BEHIND = 12, KEPT = 140, AT_ONCE = 4;

export class Pictures {
  constructor(fetchPicture, count, onLoad) {
    Object.assign(this, { fetchPicture, count, onLoad });
    this.width = 0;
    this.clear();
  }

  clear() {
    this.ready = new Map(); // index -> ImageBitmap, least recently used first
    this.underWay = new Set();
    this.failed = new Set();
    this.generation = (this.generation ?? 0) + 1;
  }

  // Ask for another width, in px; what was fetched at the old one is kept until replaced.
  setWidth(width) {
    if (width === this.width) return;
    this.width = width;
    const old = this.ready;
    this.clear();
    this.stale = old;
  }

  get(index) {
    const bitmap = this.ready.get(index);
    if (bitmap) {
      this.ready.delete(index);
      this.ready.set(index, bitmap);
    }
    return bitmap ?? this.stale?.get(index);
  }

  has(index) { return this.ready.has(index) || this.failed.has(index); }

  // Fetch what is in view, then what comes next in the direction of travel, then what lies behind.
  want(index, direction) {
    this.wanted = [index];
    for (let i = 1; i <= AHEAD; i++) {
      this.wanted.push(index + i * direction);
      if (i <= BEHIND) this.wanted.push(index - i * direction);
    }
    this.wanted = this.wanted.filter((i) => i >= 0 && i < this.count);
    this.pump();
  }

  pump() {
    for (const index of this.wanted ?? []) {
      if (this.underWay.size >= AT_ONCE) return;
      if (!this.has(index) && !this.underWay.has(index)) this.load(index);
    }
  }

  async load(index) {
    const generation = this.generation;
    this.underWay.add(index);
    try {
      const bitmap = await this.fetchPicture(index, this.width);
      if (generation !== this.generation) return;
      this.ready.set(index, bitmap);
      for (const [oldest] of this.ready) {
        if (this.ready.size <= KEPT) break;
        this.ready.get(oldest).close();
        this.ready.delete(oldest);
      }
      this.stale?.delete(index);
    } catch {
      if (generation === this.generation) this.failed.add(index);
    } finally {
      if (generation === this.generation) {
        this.underWay.delete(index);
        this.onLoad(index);
        this.pump();
      }
    }
  }
}
