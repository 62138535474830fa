// After the end. What the server keeps is dropped from this device; what came too late stays here until
// the result is published, and is offered
// again where time is given back: the page then goes on by itself. A mock exam's answers, and those of a
// published result, are forgotten.
import { removeAnswer, removeSitting, storedAnswers } from "./answer-store.js";

const HEARTBEAT_MS = 30000;
const byId = (id) => document.getElementById(id);
const data = byId("waiting") ? JSON.parse(byId("waiting").textContent) : null;
const idsToForget = document.querySelector("[data-remove-stored]")?.dataset.removeStored.split(" ") ?? [];

async function checkStatus() {
  try {
    const reply = await fetch(data.standing, {
      headers: { Accept: "application/json", "X-Requested-With": "fetch" },
    });
    if (reply.ok && !reply.redirected && (await reply.json()).open) window.location.replace(data.page);
  } catch {
    // The network is away: asked again when it is back.
  }
}

async function sendHeartbeat() {
  try {
    const reply = await fetch(data.address.replace(/answer$/, "pulse"), {
      method: "POST",
      credentials: "omit",
      headers: { "X-Sitting": data.token },
    });
    if (reply.ok && (await reply.json()).look) await checkStatus();
  } catch {
    // The same.
  }
}

async function showUnsentAnswers() {
  const late = [];
  for (const answer of await storedAnswers(data.id)) {
    if (answer.sequence > (data.sequences[answer.position] ?? 0)) late.push(answer);
    else removeAnswer(data.id, answer.position, answer.sequence);
  }
  if (!late.length) return;
  byId("late").hidden = false;
  const which = `有答案在交卷或作答时间结束之后才送达，未能计入：这台手机上还存有${late.length}题的答案。`;
  const what = data.by_doctor
    ? "试卷已由您本人交卷，交卷之后送达的答案不再计入。如有疑问，请联系所属考核机构。"
    : "如因网络或服务中断所致，请联系所属考核机构补时；补时后用这台手机打开本页，这些答案会自动送出并计入。结果公布前，请不要清除浏览器数据。";
  byId("late").textContent = which + what;
  sendHeartbeat();
  window.setInterval(sendHeartbeat, HEARTBEAT_MS);
  window.addEventListener("online", checkStatus);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") checkStatus();
  });
}

for (const sitting of idsToForget) removeSitting(sitting);
if (data?.published) removeSitting(data.id);
else if (data) showUnsentAnswers();
