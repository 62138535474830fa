// «发送验证码» without leaving the page, so that nothing typed is lost, and a count until it can be pressed
// again. Where a browser can't, or the
// network fails, the form is sent as it is without scripts.
const button = document.querySelector("[name=send]");
const statusText = document.getElementById("send-said");
const label = button.textContent;

function startCountdown(seconds) {
  const until = Date.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? `${left}秒后可重新发送` : label;
    if (left > 0) window.setTimeout(tick, 500);
  };
  if (seconds > 0) tick();
}

async function send(event) {
  event.preventDefault();
  const data = new FormData(button.form);
  data.set("send", "1");
  button.disabled = true;
  statusText.textContent = "正在发送…";
  statusText.classList.remove("field-error");
  try {
    const reply = await fetch(button.form.action, {
      method: "POST",
      body: data,
      headers: { Accept: "application/json" },
    });
    if (reply.redirected) return window.location.assign(reply.url);
    const { told, error, wait, wrong } = await reply.json();
    statusText.textContent = told ?? error;
    statusText.classList.toggle("field-error", Boolean(wrong ?? error));
    button.disabled = false;
    startCountdown(wait ?? 0);
    if (!wrong && !error) document.getElementById("sms_code")?.focus();
  } catch {
    button.disabled = false;
    statusText.classList.add("field-error");
    statusText.textContent = "网络未连接，验证码没有发送，请稍后再点一次。";
  }
  return undefined;
}

button.addEventListener("click", send);
startCountdown(Number(button.dataset.wait));
