// TypeScript, with @aws-sdk/lib-dynamodb: the mirror's items, as they are in DynamoDB. Every time is in Unix seconds.
import { type DynamoDBDocumentClient, paginateQuery } from "@aws-sdk/lib-dynamodb";

export interface PauseCollection {
  behavior: string; // void, keep_as_draft, mark_uncollectible
  resumes_at: number | null;
}

export interface SubscriptionItem {
  id: string;
  price_id?: string;
  product_id?: string;
  quantity?: number;
  unit_amount_decimal?: string;
  currency?: string;
  interval?: string;
  interval_count: number;
  usage_type?: string;
  billing_scheme?: string;
  quantity_divide_by?: number;
  quantity_round?: string;
  current_period_end?: number;
}

export interface MirroredSubscription {
  customer_id: string;
  subscription_id: string;
  status: string;
  livemode: boolean;
  cancel_at_period_end: boolean;
  items: SubscriptionItem[];
  as_of: number;
  revision: number;
  created?: number;
  currency?: string;
  collection_method?: string;
  billing_mode?: string;
  schedule_id?: string;
  cancel_at?: number;
  canceled_at?: number;
  ended_at?: number;
  trial_end?: number;
  current_period_end?: number;
  cancellation_reason?: string;
  pause_collection?: PauseCollection;
  pause_kind?: "collection" | "subscription";
  paused_reason?: string;
  paused_at?: number;
  paused_since?: number;
  paused_since_exact?: boolean;
  past_due_since?: number;
  past_due_since_exact?: boolean;
  paid_through?: number;
  settling?: number;
  event_id?: string;
  account?: string;
  delivery_lag?: number;
  stamp_lag?: number;
  expires_at?: number;
}

/** A customer's subscriptions. `tableName` is the stack's output TableName. */
export async function subscriptionsOf(
  client: DynamoDBDocumentClient,
  tableName: string,
  customer: string,
): Promise<MirroredSubscription[]> {
  const query = {
    TableName: tableName,
    KeyConditionExpression: "customer_id = :customer AND begins_with(subscription_id, :prefix)",
    ExpressionAttributeValues: { ":customer": customer, ":prefix": "sub_" },
    ConsistentRead: true,
  };
  const found: MirroredSubscription[] = [];
  for await (const page of paginateQuery({ client }, query)) {
    found.push(...((page.Items ?? []) as MirroredSubscription[]));
  }
  return found;
}
