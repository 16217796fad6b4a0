// The installation's time, counted on by this phone: deadlines are the server's, and so are the times of proofs.

const KEPT = "unlatch-clock";
let known = { ahead_ms: 0, real_ms: 0, now_ms: 0, factor: 1 };
try { known = { ...known, ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") }; } catch { /* kept badly: asked again */ }

export const realNow = () => Date.now() + known.ahead_ms;
export const now = () => (known.factor === 1 ? realNow() : known.now_ms + (realNow() - known.real_ms) * known.factor);

// Whether the platform answers; sets the clock by the way.
export async function ask(timeout_ms = 1500) {
  const begun = Date.now();
  const answer = await fetch("/courier/clock", { cache: "no-store", signal: AbortSignal.timeout(timeout_ms) });
  const told = await answer.json();
  const real_ms = told.real_at_s * 1000;
  const took_ms = Date.now() - begun;
  known = { ahead_ms: real_ms - (begun + took_ms / 2), real_ms, now_ms: told.now_s * 1000, factor: told.factor };
  if (Math.abs(known.ahead_ms) < took_ms) known.ahead_ms = 0; // no more than we can tell
  localStorage.setItem(KEPT, JSON.stringify(known));
}
