// Node 16 or newer, without a dependency.
import { createHmac } from "node:crypto";

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token for one customer ("cus_..."). `claims`: the optional ones, such as flow and locale. */
export function portalToken(linkSecret, customer, claims = {}, seconds = 900) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const body = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ ...claims, aud: "portal", sub: customer, exp })}`;
  return `${body}.${createHmac("sha256", linkSecret).update(body).digest("base64url")}`;
}
