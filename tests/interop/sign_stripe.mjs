// Signs callbacks as Stripe's library for JavaScript does. Reads the file that is its argument; prints one
// header a line.
import { readFileSync } from "node:fs";
import Stripe from "stripe";

// The key is for questions to Stripe, of which there are none.
const { webhooks } = new Stripe("sk_test_none");

for (const { secret, timestamp, body_base64 } of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const payload = Buffer.from(body_base64, "base64").toString("utf8");
  const header = webhooks.generateTestHeaderString({ payload, secret, timestamp });
  // The library would believe it, too.
  webhooks.constructEvent(payload, header, secret);
  console.log(header);
}
