// Tells a Shopkeeper what shoppers do on any page of a shop, by GA4's event names:
//   <script src="https://search.shop.example/tag.js" data-key="KEY WITH THE SCOPE events" defer></script>
// What pages already push to `dataLayer`, for gtag.js or Tag Manager, is taken from there;
// `shopkeeper("view_item", {items: [{item_id: "85123A"}]})` tells more. No cookie is set: a random
// number in the page's own storage stands for the browser. Events wait there until they are taken.
"use strict";

(() => {
  const { src, dataset } = document.currentScript;
  const address = new URL("/v1/events", src), { key } = dataset;
  const WAITING = "shopkeeper_events", WHO = "shopkeeper_visitor", MOST = 200, PAUSE_MS = 1_000, AGAIN_MS = 10_000;
  const NAMES = new Set(["view_item", "view_item_list", "select_item", "add_to_cart", "remove_from_cart", "view_cart",
    "begin_checkout", "purchase", "refund", "search", "view_search_results", "view_promotion", "select_promotion",
    "like", "dismiss", "review"]);
  const memory = {};
  const kept = (name) => { try { return localStorage.getItem(name); } catch { return memory[name]; } };
  const keep = (name, text) => { memory[name] = text; try { localStorage.setItem(name, text); } catch { /* memory is enough */ } };
  const waiting = () => { try { return JSON.parse(kept(WAITING)) || []; } catch { return []; } };
  let user = null, timer = 0, sending = false;

  function visitor() {
    if (!kept(WHO)) keep(WHO, crypto.randomUUID());
    return kept(WHO);
  }

  function tell(name, told = {}) {
    if (name === "user") user = told;
    if (!NAMES.has(name)) return;
    const event = { time: new Date().toISOString(), ...told, event_name: name, event_id: crypto.randomUUID(), visitor_id: visitor() };
    if (user ?? told.user_id) event.user_id = String(told.user_id ?? user);
    keep(WAITING, JSON.stringify([...waiting(), event].slice(-MOST)));
    timer ||= setTimeout(send, PAUSE_MS);
  }

  async function send(leaving = false) {
    clearTimeout(timer);
    timer = 0;
    const events = waiting().slice(0, 20);
    if (!events.length || (sending && !leaving)) return;
    sending = true;
    const taken = await post(events, leaving);
    if (taken) {
      const gone = new Set(events.map((event) => event.event_id));
      keep(WAITING, JSON.stringify(waiting().filter((event) => !gone.has(event.event_id))));
    }
    sending = false;
    if (waiting().length) timer ||= setTimeout(send, taken ? PAUSE_MS : AGAIN_MS);
  }

  // A batch is taken whole or refused whole: of a refused one, each event is sent alone.
  async function post(events, leaving) {
    const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
    let answer;
    try {
      answer = await fetch(address, { method: "POST", headers, keepalive: leaving, body: JSON.stringify({ events }) });
    } catch { return false; }
    if (answer.status !== 422) return answer.ok;
    if (events.length === 1) console.warn("Shopkeeper refused an event:", (await answer.json()).detail);
    else for (const event of events) if (!(await post([event], leaving))) return false;
    return true;
  }

  // gtag pushes its arguments, Tag Manager an object with `event` and `ecommerce`.
  function hear(said) {
    if (said?.[0] === "event") tell(said[1], said[2]);
    else if (said?.[0] === "set" && said[1]?.user_id) user = said[1].user_id;
    else if (said?.[0] === "config" && said[2]?.user_id) user = said[2].user_id;
    else if (typeof said?.event === "string") tell(said.event, { ...said.ecommerce, ...(said.search_term && { search_term: said.search_term }) });
  }

  const layer = (window.dataLayer ||= []);
  layer.forEach(hear);
  const push = layer.push;
  layer.push = (...said) => { said.forEach(hear); return push.apply(layer, said); };
  window.shopkeeper = tell;
  document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && send(true));
  if (waiting().length) timer = setTimeout(send, PAUSE_MS);
})();
