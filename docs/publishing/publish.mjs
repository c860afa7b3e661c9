// A publisher in Node, with nothing but what Node brings: it encrypts the
// CloudEvent on standard input to the intake and publishes it over HTTP, or
// prints it, for a client of NATS to send.
//
//   RESCIND_TOKEN=… node publish.mjs https://rescind.example < event.json
//   node publish.mjs https://rescind.example --print < event.json

import { text } from "node:stream/consumers";

import { current, seal } from "./seal.mjs";

const [base, mode] = process.argv.slice(2);
const event = await text(process.stdin);

const answer = await fetch(`${base}/v1/keys/intake`, { signal: AbortSignal.timeout(10_000) });
if (!answer.ok) throw new Error(`keys: ${answer.status}`);
const set = await answer.json(); // who keeps it asks again after an hour, and before its key ends

const message = seal(current(set), "application/cloudevents+json", Buffer.from(event));
if (mode === "--print") {
  process.stdout.write(message);
} else {
  const done = await fetch(`${base}/v1/events`, {
    method: "POST",
    headers: { Authorization: `Bearer ${process.env.RESCIND_TOKEN}`, "Content-Type": "application/jose" },
    body: message,
    signal: AbortSignal.timeout(10_000),
  });
  process.stdout.write(`${await done.text()}\n`);
  process.exitCode = done.ok ? 0 : 1;
}
