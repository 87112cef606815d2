// Keeps the control room up to date. Without it the page shows one moment, and everything on it works.
"use strict";

const link = document.getElementById("room-link");
const rows = document.getElementById("room-rows");

// Put new HTML into an element, and leave the keyboard's focus where it was.
function replace(element, html) {
  const active = document.activeElement;
  const path = element.contains(active) ? active.getAttribute("href") || active.value : null;
  element.innerHTML = html;
  if (path) {
    const again = [...element.querySelectorAll("a, button")].find((one) => (one.getAttribute("href") || one.value) === path);
    if (again) again.focus({ preventScroll: true });
  }
}

function show({ parts, gone }, isFirst) {
  for (const [id, html] of Object.entries(parts)) {
    let element = document.getElementById(id);
    if (!element && id.startsWith("sub-")) {
      element = document.createElement("tr");
      element.id = id;
      rows.append(element);
    }
    if (!element) continue;
    replace(element, html);
    if (id.startsWith("sub-") && !isFirst) {
      element.classList.remove("changed");
      void element.offsetWidth; // starts the animation again
      element.classList.add("changed");
    }
  }
  for (const id of gone) document.getElementById(id)?.remove();
}

let wasLost = false;

function connect() {
  const source = new EventSource("/room/changes");
  let isFirst = true;
  source.onmessage = (event) => {
    if (wasLost) {
      location.reload(); // the data may have begun again
      return;
    }
    link.textContent = "Live: rows light up when they change.";
    show(JSON.parse(event.data), isFirst);
    isFirst = false;
  };
  source.onerror = () => {
    source.close();
    wasLost = true;
    link.textContent = "The connection is lost. Trying again ...";
    setTimeout(connect, 1000);
  };
}

connect();
