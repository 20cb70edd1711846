// How fast frames get accepted, and how long the rest will take at that pace.
const LONGEST_MS = 5 * 60_000; // a longer pause is none of the work
const KEPT = 30;

export class Pace {
  constructor() {
    this.times = [];
    this.accepted = null;
  }

  // Note how many frames are accepted now.
  note(accepted, now) {
    if (this.accepted !== null && accepted > this.accepted) this.times.push({ now, count: accepted - this.accepted });
    this.accepted = accepted;
    this.times = this.times.slice(-KEPT);
  }

  // Words for the time that so many frames will take, "" while that is not known.
  words(left) {
    let time = 0, frames = 0;
    for (let i = 1; i < this.times.length; i++) {
      const gap = this.times[i].now - this.times[i - 1].now;
      if (gap > LONGEST_MS) continue;
      time += gap;
      frames += this.times[i].count;
    }
    if (frames < 3 || !left) return "";
    const minutes = (left * time) / frames / 60_000;
    return minutes < 1 ? "less than a minute left" : minutes < 90 ? `about ${Math.round(minutes)} min left` : `about ${Math.round(minutes / 60)} h left`;
  }
}
