// Verifies requests as a receiver in JavaScript does. Reads the file that is its argument.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { verify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";

const requests = JSON.parse(readFileSync(process.argv[2], "utf8"));
const other = "whsec_" + Buffer.alloc(32, 1).toString("base64");

for (const { secret, body_base64, headers, github_signature } of requests) {
  const body = Buffer.from(body_base64, "base64").toString("utf8");
  const changed = body.replace("ticket", "tocket");
  assert.notEqual(changed, body);

  // Only the two newest secrets sign in GitHub's way.
  if (github_signature !== null) {
    assert.equal(await verify(secret, body, github_signature), true, "octokit");
    assert.equal(await verify(secret, changed, github_signature), false, "octokit: another body");
    assert.equal(await verify(other, body, github_signature), false, "octokit: another secret");
  }

  assert.equal(new Webhook(secret).verify(body, headers).event, "ticket.updated");
  assert.throws(() => new Webhook(secret).verify(changed, headers));
  assert.throws(() => new Webhook(other).verify(body, headers));
  const later = { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) };
  assert.throws(() => new Webhook(secret).verify(body, later));
}
console.log(`verified ${requests.length}`);
