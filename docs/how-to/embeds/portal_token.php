<?php
// PHP 8, without a dependency.

/** A token for one customer ("cus_..."). $claims: the optional ones, such as flow and locale. */
function portal_token(string $linkSecret, string $customer, array $claims = [], int $seconds = 900): string
{
    $encoded = fn (string $bytes): string => rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    $claims = ['aud' => 'portal', 'sub' => $customer, 'exp' => time() + $seconds] + $claims;
    $body = $encoded('{"alg":"HS256","typ":"JWT"}') . '.' . $encoded(json_encode($claims, JSON_THROW_ON_ERROR));
    return $body . '.' . $encoded(hash_hmac('sha256', $body, $linkSecret, true));
}
