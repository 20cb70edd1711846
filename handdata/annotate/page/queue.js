// What there is to look at, by reason, the most pressing reason first: stretches of neighbouring frames.
export const REASONS = {
  disputed: "accepted, but a drawn box leads elsewhere",
  tip: "a fingertip lies outside the box",
  lost: "lost",
  apart: "directions apart",
  model: "unlike the model's box",
  looks: "unlike the drawn hand",
  jump: "jump",
  size: "size jump",
  outside: "partly outside",
};
const SHORT = { ...REASONS, disputed: "to ask about", tip: "miss a fingertip" };
const LEAST = 0.5; // doubt that is worth a look

// The reason to look at a frame, or "". frame: [box, source, doubt, accepted, kind, settled, misses, disputed, reason].
export function reasonOf(frame) {
  if (!frame) return "";
  const [box, source, doubt, accepted, kind, settled, misses, disputed, reason] = frame;
  if (disputed) return "disputed";
  if (misses && box && !["reviewed", "confirmed"].includes(accepted)) return "tip";
  if (misses && box && kind === "person") return "tip";
  if (accepted || kind === "absent" || !settled) return "";
  if (source === "lost") return "lost";
  return doubt >= LEAST ? reason || "jump" : "";
}

// What boxes are looked at for.
const BOXES = { reasons: REASONS, short: SHORT, reasonOf };

// Stretches { reason, first, last, worst, doubt } in the order to look at them.
export function stretches(frames, { reasons, reasonOf } = BOXES) {
  const found = [];
  frames.forEach((frame, index) => {
    const reason = reasonOf(frame), last = found.at(-1);
    if (!reason) return;
    if (last && last.reason === reason && last.last === index - 1) last.last = index;
    else found.push({ reason, first: index, last: index, worst: index, doubt: -1 });
    const one = found.at(-1);
    if (frame[2] > one.doubt) Object.assign(one, { worst: index, doubt: frame[2] });
  });
  const order = Object.keys(reasons);
  return found.sort((a, b) => order.indexOf(a.reason) - order.indexOf(b.reason) || b.doubt - a.doubt || a.first - b.first);
}

// Why `go` of a queue went nowhere.
export function nothingMore(step, frames) {
  if (step < 0) return "This was the first.";
  return frames.every((frame) => frame?.[3]) ? "Every frame is accepted." : "Nothing to look at yet.";
}

export class Queue {
  // list: the element that shows the counts; onGo(frame, words, reason): show that frame; kinds: what is looked at.
  constructor(list, onGo, kinds = BOXES) {
    Object.assign(this, { list, onGo, kinds, visited: new Set(), found: [], frames: [], trail: [] });
  }

  update(frames) {
    this.frames = frames;
    this.found = stretches(frames, this.kinds);
    const counts = {};
    for (const { reason, first, last } of this.found) counts[reason] = (counts[reason] ?? 0) + last - first + 1;
    const text = JSON.stringify(counts);
    if (text === this.text) return;
    this.text = text;
    this.list.replaceChildren(...Object.entries(counts).map(([reason, count]) => {
      const button = document.createElement("button"), number = document.createElement("b");
      number.textContent = count;
      number.id = `num-${reason}`;
      button.append(number, ` ${this.kinds.short[reason]}`);
      button.className = "count warn";
      button.title = "Look at the next of them (N goes through all)";
      button.addEventListener("click", () => this.go(1, reason));
      return button;
    }));
  }

  // Go on (1) or back (-1) through the queue, or to the next of one reason. Says whether there is one.
  go(step, reason = "") {
    if (step < 0) {
      this.trail.pop();
      if (this.trail.length) this.onGo(this.trail.at(-1), "");
      return this.trail.length > 0;
    }
    const wanted = this.found.filter((one) => !reason || one.reason === reason);
    if (!wanted.length) return !reason && this.goDoubtful();
    let fresh = wanted.filter((one) => !this.visited.has(one.worst));
    if (!fresh.length) {
      this.visited.clear();
      fresh = wanted;
    }
    const one = fresh[0];
    for (let frame = one.first; frame <= one.last; frame++) this.visited.add(frame);
    this.trail.push(one.worst);
    this.onGo(one.worst, `${wanted.length - fresh.length + 1} of ${wanted.length}: ${this.kinds.reasons[one.reason]}`, one.reason);
    return true;
  }

  // With nothing in the queue: to the most doubtful frame that nobody accepted.
  goDoubtful() {
    const open = this.frames.map((frame, index) => ({ index, frame })).filter(({ frame }) => frame && !frame[3] && frame[5]);
    if (!open.length) return false;
    let fresh = open.filter(({ index }) => !this.visited.has(index));
    if (!fresh.length) {
      this.visited.clear();
      fresh = open;
    }
    const { index } = fresh.reduce((best, one) => (one.frame[2] > best.frame[2] ? one : best));
    for (let near = index - 3; near <= index + 3; near++) this.visited.add(near); // neighbours show the same mistake
    this.trail.push(index);
    this.onGo(index, "Nothing to look at; the most doubtful of the rest.");
    return true;
  }
}
