// Before the sitting begins: whoever presses so late that the window cuts the time short is told how much
// is left, by the server's clock.
const form = document.getElementById("enter");
const { now, ends, minutes } = form.dataset;
const clockOffset = Number(now) - Date.now();
const twoDigits = (number) => String(number).padStart(2, "0");

function formatBeijingTime(milliseconds) {
  const moment = new Date(milliseconds + 8 * 3600000);
  return `${twoDigits(moment.getUTCHours())}:${twoDigits(moment.getUTCMinutes())}`;
}

// Before the page's own listener, which counts a press as done. What is lacking is told by the server, as
// everywhere.
document.addEventListener(
  "submit",
  (event) => {
    const left = (Number(ends) - (Date.now() + clockOffset)) / 60000;
    if (event.target !== form || !form.checkValidity() || left >= Number(minutes) || left <= 0) return;
    const said = left < 1 ? "不足1分钟" : `${Math.floor(left)}分钟`;
    const question = `考试${formatBeijingTime(Number(ends))}结束，现在进入只有${said}的作答时间，少于本试卷的${minutes}分钟。确定现在进入？`;
    if (window.confirm(question)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
