// The hands that the server told of, frame by frame, and which hand and point are chosen. No drawing.
const DOUBTFUL = 0.5; // doubt that is worth a look

export const REASONS = {
  reference: "frame to label: it tells most of the others",
  lost: "nothing known of the point",
  apart: "model and flow apart",
  bones: "bone longer than this person's",
  fit: "no hand bends so",
  unsure: "neither model nor flow is sure",
};
const SHORT = { reference: "to label", lost: "lost", apart: "apart", bones: "too long", fit: "unfit", unsure: "unsure" };

// What the queue looks at: frame: [has hands, maker, doubt, accepted, kind, settled, 0, 0, reason].
export const KINDS = { reasons: REASONS, short: SHORT, reasonOf: (frame) => (frame && frame[0] && !frame[3] && frame[2] >= DOUBTFUL ? frame[8] : "") };

// A hand as the server packs it, unpacked.
export function unpacked([number, side, uv, states, sources, doubts, reasons, nearer], facts) {
  return {
    number, side, doubts, nearer: nearer ?? [],
    points: uv.map((place, k) => ({
      k, place, state: facts.states[states[k]], source: facts.sources[sources[k]], doubt: doubts[k],
      reason: reasons[k] < 0 ? "" : facts.reasons[reasons[k]],
      end: nearer?.[k - 1] ?? 0, // of the bone that leads to it: 1 its start is nearer, -1 this point is, 0 nobody said
    })),
  };
}

// The points of a hand whose bone has a hidden end, and of which nobody said which end is nearer.
export function untold(hand, bones) {
  const hidden = (k) => hand.points[k].state === "occluded";
  const there = (k) => hand.points[k].place && hand.points[k].state !== "absent";
  return bones.filter(([a, b]) => there(a) && there(b) && (hidden(a) || hidden(b)) && !hand.points[b].end).map(([, b]) => b);
}

export class Choice {
  constructor() {
    this.number = 0; // of the hand
    this.k = 8; // of the keypoint: the tip of the index finger
  }

  // The chosen hand among these, the first if it is not there.
  hand(hands) { return hands.find(({ number }) => number === this.number) ?? hands[0]; }

  nextHand(hands, step) {
    if (!hands.length) return;
    const at = Math.max(0, hands.indexOf(this.hand(hands)));
    this.number = hands[(at + step + hands.length) % hands.length].number;
  }

  nextPoint(step) { this.k = (this.k + step + 21) % 21; }

  // The tip of a finger (1 the thumb); once more: the joint towards the wrist.
  finger(number) {
    const knuckle = 4 * number - 3, tip = knuckle + 3;
    this.k = this.k > knuckle && this.k <= tip ? this.k - 1 : tip;
  }

  // The most doubtful point of these hands, of one reason if given.
  worst(hands, reason) {
    let best = -1;
    for (const hand of hands) {
      for (const point of hand.points) {
        if (point.doubt > best && (!reason || point.reason === reason)) {
          best = point.doubt;
          Object.assign(this, { number: hand.number, k: point.k });
        }
      }
    }
  }
}
