// Poses in 3D as three views: from the front, from the right, from above. Middle MCP in the middle, wrist at distance 1.
import { make, makeSvg } from "/dom.js";
import { drawHand } from "/skeleton.js";

const VIEWS = [["Front", [0, 1]], ["Side", [2, 1]], ["Above", [0, 2]]];
const REACH = 1.15; // shown of a pose to each side at least

// poses: [{ pose, color, dashed }]; a pose is 21 points of 3 numbers or nulls.
export function threeViews(skeleton, poses) {
  const spans = poses.flatMap(({ pose }) => pose.flat()).filter((value) => value !== null).map(Math.abs);
  const reach = Math.max(REACH, 1.1 * Math.max(...spans, 0));
  return VIEWS.map(([title, axes]) => {
    const svg = makeSvg("svg", { viewBox: `${-reach} ${-reach} ${2 * reach} ${2 * reach}`, class: "pose", role: "img", "aria-label": `Pose from: ${title.toLowerCase()}` });
    svg.append(makeSvg("path", { d: `M${-reach} 0H${reach}M0 ${-reach}V${reach}`, class: "axis" }));
    for (const { pose, color = null, dashed = false } of poses) {
      const points = pose.map((point) => axes.map((axis) => point[axis]));
      svg.append(drawHand(skeleton, points, { color, dashed, width: 0.022 * reach }));
    }
    return make("figure", {}, svg, make("figcaption", {}, title));
  });
}
