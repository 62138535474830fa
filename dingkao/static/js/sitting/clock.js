// The server's time, as far as its answers let this page know it.
import { data } from "./state.js";

// How far the server's time is ahead of this device's steady clock, which may run a little fast or slow,
// and stand still while the device sleeps; by how much that may be wrong; and when it was asked.
let clockOffset =
  data.now - (performance.getEntriesByType?.("navigation")[0]?.responseStart || performance.now());
let clockUncertainty = Infinity;
let clockMeasuredAt = 0;
const DRIFT = 0.001;

export const now = () => performance.now() + clockOffset;

// An answer that was long on its way tells the time less exactly than one before it, unless the two can't
// both be true.
export function setClock(moment, asked) {
  const arrived = performance.now();
  const half = (arrived - asked) / 2;
  const found = moment + half - arrived;
  const trusted = clockUncertainty + (arrived - clockMeasuredAt) * DRIFT;
  if (half > trusted && Math.abs(found - clockOffset) <= half + trusted) return;
  [clockOffset, clockUncertainty, clockMeasuredAt] = [found, half, arrived];
}
