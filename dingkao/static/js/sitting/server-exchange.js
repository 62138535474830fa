// What is said to the server and what it says: answers are sent until it has acknowledged them, it is asked
// how the sitting stands, and the sitting is handed in.
import { removeAnswer } from "../answer-store.js";
import { receiveAnnouncements } from "./announcements.js";
import { now, setClock } from "./clock.js";
import { MESSAGES, showMessage, showOnly, showTimeLeft, status, updateOptions } from "./display.js";
import { byId, data, knownAnswers, state, waiting } from "./state.js";

// How answers are sent: to the door of sittings by the token alone; a mock exam says how it has them.
const SAVE_OPTIONS = data.saving ?? { credentials: "omit", headers: { "X-Sitting": data.token } };
const SAVE_REQUEST = {
  method: "POST",
  credentials: SAVE_OPTIONS.credentials,
  headers: { "Content-Type": "application/json", ...SAVE_OPTIONS.headers, Accept: "application/json" },
};
let sending = false;
let pause = 0;
let timer = 0;
let tickTimer = 0;

async function request(address, options = {}) {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), 15000);
  try {
    return await fetch(address, { ...options, signal: stop.signal });
  } finally {
    window.clearTimeout(late);
  }
}

function closePage(sentence, link = [window.location.href, "刷新页面"]) {
  [state.isClosed, state.isTimeUp] = [true, false];
  window.clearTimeout(timer);
  showOnly("question");
  showMessage(sentence, link);
  for (const id of ["finish", "mark"]) byId(id).disabled = true;
  updateOptions();
  status();
}

export async function send() {
  if (sending || state.isClosed) return;
  sending = true;
  try {
    while (waiting.size && !state.isClosed) {
      const answer = [...waiting.values()].sort((one, other) => one.sequence - other.sequence)[0];
      const asked = performance.now();
      let reply;
      try {
        reply = await request(data.address, { ...SAVE_REQUEST, body: JSON.stringify(toPayload(answer)) });
      } catch {
        scheduleRetry();
        return;
      }
      if (reply.redirected) {
        signedOut();
        scheduleRetry();
        return;
      }
      const said = await reply.json().catch(() => ({}));
      if (!reply.ok && said.refused) {
        // Too late by the server's clock, handed in, or from before it was opened again: how the sitting
        // stands says which, and what to do.
        if ((await loadStatus()) && said.refused === "superseded") continue;
        scheduleRetry(false);
        return;
      }
      if (!reply.ok) {
        if ((said.final || reply.status === 400) && !state.isHandingIn)
          closePage(said.error ?? "页面已失效，请刷新后继续。");
        else scheduleRetry();
        return;
      }
      setClock(said.now, asked);
      // Something newer is kept than what this page shows, which is not to stand under 已保存 before the
      // page knows it.
      if (said.kept === "older" && !(await loadStatus())) {
        scheduleRetry();
        return;
      }
      [pause, state.failing, state.isUnreachable] = [0, false, false];
      if (waiting.get(answer.position)?.sequence === answer.sequence) waiting.delete(answer.position);
      removeAnswer(data.id, answer.position, answer.sequence);
      status();
    }
  } finally {
    sending = false;
  }
}

const toPayload = ({ position, letters: chosen, sequence: number, tapped }) => ({
  position,
  letters: chosen,
  sequence: number,
  tapped,
});

function scheduleRetry(unreachable = true) {
  [state.failing, state.isUnreachable] = [true, unreachable];
  pause = Math.min(pause ? pause * 2 : 1000, 15000);
  window.clearTimeout(timer);
  timer = window.setTimeout(send, pause);
  status();
}

// What the server keeps under a higher number than we know of is newer: from another page, or from before
// a reload.
export function applyServerAnswers(answers, sequences) {
  for (const [position, chosen] of Object.entries(answers)) {
    const [place, number] = [Number(position), sequences[position]];
    state.sequence = Math.max(state.sequence, number);
    if (number < (knownAnswers.get(place)?.sequence ?? 0)) continue;
    knownAnswers.set(place, { letters: chosen, sequence: number });
    waiting.delete(place);
    removeAnswer(data.id, place, number);
  }
}

// Ask the server how the sitting stands; gives whether it has said so and this page goes on.
export async function loadStatus() {
  const idle = () => state.isHandingIn || (state.isClosed && !state.isTimeUp);
  if (idle()) return false;
  const asked = performance.now();
  let said;
  try {
    const reply = await request(data.standing, {
      headers: { Accept: "application/json", "X-Requested-With": "fetch" },
    });
    if (reply.redirected) {
      signedOut();
      return false;
    }
    if (!reply.ok) return false;
    said = await reply.json();
  } catch {
    [state.failing, state.isUnreachable] = [true, true];
    status();
    return false;
  }
  if (idle()) return false;
  setClock(said.now, asked);
  data.closes = said.closes;
  if (said.token) SAVE_REQUEST.headers["X-Sitting"] = said.token;
  if (!said.open) {
    applyServerAnswers(said.answers, said.sequences);
    if (state.hasLateAnswers) return false;
    // What still waits here came too late: handing it in has the server say of how much of it.
    if (waiting.size) handIn(true);
    else {
      [state.isClosed, state.isTimeUp] = [true, false];
      window.location.replace(data.end);
    }
    return false;
  }
  if (!said.mine) {
    closePage("您已在另一台设备上继续作答，本页不能再保存。如需在此继续，请", [
      window.location.href,
      "刷新页面",
    ]);
    return false;
  }
  [state.failing, state.isUnreachable] = [false, false];
  applyServerAnswers(said.answers, said.sequences);
  receiveAnnouncements(said.announcements);
  if (state.isTimeUp && now() < data.closes) continueSitting();
  updateOptions();
  status();
  send();
  return true;
}

export function tick() {
  window.clearTimeout(tickTimer);
  const exactly = data.closes - now();
  const left = Math.max(0, Math.ceil(exactly / 1000));
  showTimeLeft(left);
  if (state.isClosed) return;
  if (left === 0) end();
  else tickTimer = window.setTimeout(tick, exactly - (left - 1) * 1000 + 1);
}

// The time is over by this page's clock; the server's is asked, and may have been prolonged.
async function end() {
  await loadStatus();
  if (now() < data.closes) {
    if (!state.isClosed) tick();
  } else if ((!state.isClosed || state.isTimeUp) && !state.hasLateAnswers) handIn(true);
}

function continueSitting() {
  [state.isClosed, state.isTimeUp, state.hasLateAnswers] = [false, false, false];
  for (const id of ["finish", "mark"]) byId(id).disabled = false;
  showMessage("");
  tick();
}

function signedOut() {
  showMessage(MESSAGES.signedOut, [window.location.href, "重新登录"]);
}

export async function handIn(atTheEnd) {
  if (state.isHandingIn) return;
  state.isHandingIn = true;
  if (atTheEnd) {
    [state.isClosed, state.isTimeUp] = [true, true];
    showOnly("question");
    showMessage("作答时间已到，正在交卷…");
    byId("finish").disabled = true;
    updateOptions();
  }
  byId("outstanding").value = JSON.stringify([...waiting.values()].map(toPayload));
  byId("automatic").value = atTheEnd ? "1" : "";
  byId("confirm-button").disabled = true;
  byId("confirm-button").textContent = "正在交卷…";
  try {
    const form = byId("hand-in");
    const reply = await request(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json", "X-Requested-With": "fetch" },
    });
    if (reply.redirected) signedOut();
    else {
      const said = await reply.json();
      if (reply.ok && said.late && !state.isStorageDurable) {
        showLateAnswers();
        return;
      }
      if (reply.ok) {
        state.isClosed = true;
        window.location.replace(said.end);
        return;
      }
      showMessage(said.error ?? "暂时不能交卷，请稍后再试。");
    }
  } catch {
    [state.failing, state.isUnreachable] = [true, true];
    const unsent = waiting.size
      ? `还有${waiting.size}题的答案没有送达，${state.isStorageDurable ? "存在这台手机上" : "只保留在本页"}，`
      : "";
    const stored = state.isStorageDurable ? "答案都存在这台手机上" : "没有送达的答案只保留在本页";
    showMessage(
      atTheEnd
        ? `作答时间已到，网络未连接。已保存的答案由系统自动交卷；${unsent}请保持本页打开，恢复后会自动送出。`
        : `网络未连接，还没有交卷。${stored}，请保持本页打开，网络恢复后再点“确认交卷”。`,
    );
  }
  state.isHandingIn = false;
  byId("confirm-button").disabled = false;
  byId("confirm-button").textContent = "确认交卷";
  if (atTheEnd) window.setTimeout(end, 3000);
  else {
    status();
    send();
  }
}

// Handed in, and what came too late stands nowhere but here: the page stays, and goes on by itself where
// time is given back.
function showLateAnswers() {
  [state.isClosed, state.isTimeUp, state.hasLateAnswers, state.isHandingIn] = [true, true, true, false];
  showOnly("question");
  showMessage(
    `已到时交卷。有${waiting.size}题的答案在作答时间结束之后才送达，未能计入，现在只保留在本页。如因网络或服务中断所致，` +
      "请联系所属考核机构补时，并保持本页打开：补时后会自动送出并计入。",
    [data.end, "不再等待，离开本页"],
  );
  byId("confirm-button").disabled = false;
  byId("confirm-button").textContent = "确认交卷";
  updateOptions();
  status();
}
