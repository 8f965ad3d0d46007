// The search box as an accessible combobox, and where the focus goes after a shelf was replaced.
// Knows no products: suggestions come from /suggest. Without this file every page still works.
"use strict";

const WAIT_MS = 90;

function combobox(input) {
  const list = document.getElementById(input.getAttribute("aria-controls"));
  let timer = 0;
  let asking = null;
  let chosen = -1;
  let typed = input.value;

  function close() {
    clearTimeout(timer);
    asking?.abort();
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function choose(place) {
    const options = [...list.children];
    chosen = place;
    options.forEach((option, number) => option.setAttribute("aria-selected", String(number === place)));
    input.value = place < 0 ? typed : options[place].dataset.text;
    if (place < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", options[place].id);
    options[place].scrollIntoView({ block: "nearest" });
  }

  function show(found) {
    list.replaceChildren(...found.map(({ text, kind }, number) => {
      const option = document.createElement("li");
      const note = document.createElement("span");
      option.id = `${list.id}-${number}`;
      option.role = "option";
      option.dataset.text = text;
      option.setAttribute("aria-selected", "false");
      note.className = "kind";
      note.textContent = kind === "query" ? "" : kind;
      option.append(text, note);
      // Before the input loses the focus, or the list would close under the pointer.
      option.addEventListener("pointerdown", (event) => {
        event.preventDefault();
        input.value = text;
        input.form.requestSubmit();
      });
      return option;
    }));
    chosen = -1;
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
  }

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    try {
      const answer = await fetch(`/suggest?q=${encodeURIComponent(typed)}`, { signal: asking.signal });
      if (answer.ok) show((await answer.json()).suggestions);
    } catch (error) {
      if (error.name !== "AbortError") close();
    }
  }

  input.addEventListener("input", () => {
    typed = input.value;
    clearTimeout(timer);
    if (typed.trim()) timer = setTimeout(ask, WAIT_MS);
    else close();
  });
  input.addEventListener("keydown", (event) => {
    const size = list.hidden ? 0 : list.children.length;
    if (event.key === "Escape" && size) {
      event.preventDefault();
      choose(-1);
      close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && size) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose(((chosen + 1 + step + size + 1) % (size + 1)) - 1);
    }
  });
  input.addEventListener("blur", close);
}

document.querySelectorAll('input[role="combobox"]').forEach(combobox);

// A picture or a recording is sent as soon as it is chosen. Where the browser has a microphone, a
// button records: pressed again, or after ten seconds, what was said goes the way of a chosen file.
const SPOKEN_MS = 10_000;

function microphone(form) {
  const button = form.querySelector(".speak");
  const input = form.querySelector("input");
  if (!button || !navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return;
  button.hidden = false;
  input.parentElement.hidden = true;
  let recorder = null;
  button.addEventListener("click", async () => {
    if (recorder) return recorder.stop();
    let sound;
    try {
      sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      document.getElementById("said").textContent = "The browser did not open its microphone. A recording can be sent instead.";
      input.parentElement.hidden = false;
      return;
    }
    const parts = [];
    recorder = new MediaRecorder(sound);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      sound.getTracks().forEach((track) => track.stop());
      const files = new DataTransfer();
      files.items.add(new File(parts, "said.webm", { type: recorder.mimeType }));
      input.files = files.files;
      recorder = null;
      button.setAttribute("aria-pressed", "false");
      button.textContent = "Listening…";
      form.submit();
    });
    recorder.start();
    setTimeout(() => recorder?.state === "recording" && recorder.stop(), SPOKEN_MS);
    button.setAttribute("aria-pressed", "true");
    button.textContent = "Press when you have said it";
  });
}

document.querySelectorAll(".way").forEach((form) => {
  form.querySelector("input").addEventListener("change", () => form.requestSubmit());
  microphone(form);
});

document.getElementById("sort")?.addEventListener("change", (event) => event.target.form.requestSubmit());

// A press of "Not interested" removes its own button; the reader goes on from the shelf's title.
document.body.addEventListener("htmx:afterSwap", (event) => {
  const shelf = event.detail.target;
  if (shelf?.classList?.contains("shelf")) document.querySelector(`#${shelf.id} h2`)?.focus();
});

let hush = 0;
document.body.addEventListener("htmx:oobAfterSwap", (event) => {
  if (event.detail.target.id !== "said") return;
  clearTimeout(hush);
  hush = setTimeout(() => event.detail.target.replaceChildren(), 6000);
});
document.body.addEventListener("htmx:responseError", () => {
  document.getElementById("said").textContent = "That did not work. Load the page again.";
});
