// Which figures the bound justifies: a figure that counts in `unit` milliseconds, of a time that may be `bound` off.
//
// - sharp: the bound is at most one unit. So the figure, or a neighbour of it, is right.
// - dim: it is more. The figure may be wrong by several counts.
// - hidden: it is five units or more. Then ± covers all ten figures, and the one shown would say nothing.
//
// A figure that became worth less must do a fifth better than the rule to become more again, so that a bound that
// wavers does not make it flicker. A bound that is not known justifies neither tenths nor hundredths, and proves nothing
// against them: they look dim.

const WORTH = ["hidden", "dim", "sharp"];
const BETTER = 0.8;

export function worth(bound, unit, before = "sharp") {
  if (bound === null) return "unknown";
  const now = rule(bound / unit);
  if (before === "unknown" || WORTH.indexOf(now) <= WORTH.indexOf(before)) return now;
  const surely = rule(bound / unit / BETTER);
  return WORTH.indexOf(surely) > WORTH.indexOf(before) ? surely : before;
}

function rule(counts) {
  if (counts <= 1) return "sharp";
  return counts < 5 ? "dim" : "hidden";
}
