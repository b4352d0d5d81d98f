// Writes every command by a client of openapi-fetch, over the types that openapi-typescript makes of /openapi.json.

import createClient from "openapi-fetch";
import type { components, paths } from "./tills.d.ts";

declare const process: { env: Record<string, string> };

type Command = components["schemas"]["Command"];

const client = createClient<paths>({ baseUrl: process.env["TILLSTREAM_ADDRESS"]! });
const order_id = crypto.randomUUID();

async function send(command: Command): Promise<void> {
  const { data, error } = await client.POST("/v1/commands", { body: command });
  if (data === undefined || data.status !== "accepted") throw new Error(JSON.stringify(error ?? data));
}

const made = () => ({ command_id: crypto.randomUUID(), order_id });
const tea = { product_id: "p-1", name: "Tea", quantity: "2", unit_price: "3.50" };
const authorised_by = "mia";
await send({ ...made(), type: "CreateOrder", data: { cashier_id: "anna", currency: "EUR" } });
await send({ ...made(), type: "AddItem", data: tea });
await send({ ...made(), type: "AddItem", data: { ...tea, line_id: "milk" } });
await send({ ...made(), type: "ChangeItemQuantity", data: { line_id: "1", quantity: "3" } });
await send({ ...made(), type: "ApplyLineDiscount", data: { line_id: "1", percent: "10", authorised_by } });
await send({ ...made(), type: "ApplyLineDiscount", data: { line_id: "1", amount: "0.50", authorised_by } });
await send({ ...made(), type: "RemoveLineDiscount", data: { line_id: "1" } });
await send({ ...made(), type: "ApplyDiscount", data: { percent: "5", authorised_by, reason: "staff" } });
await send({ ...made(), type: "RemoveDiscount" });
await send({ ...made(), type: "RemoveItem", data: { line_id: "milk" } });
await send({ ...made(), type: "UndoLastChange", expected_version: 10 });
await send({ ...made(), type: "RedoLastChange", expected_version: 11 });
await send({ ...made(), type: "ConfirmOrder", occurred_at: new Date().toISOString() });
await send({ ...made(), type: "VoidOrder", data: { reason: "returned", authorised_by } });
console.log(order_id);
