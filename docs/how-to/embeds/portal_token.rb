# Ruby 2.7 or newer, without a gem.
require "json"
require "openssl"

# A token for one customer ("cus_..."). `claims`: the optional ones, such as flow and locale.
def portal_token(link_secret, customer, claims = {}, seconds = 900)
  encoded = ->(bytes) { [bytes].pack("m0").tr("+/", "-_").delete("=") }
  claims = claims.transform_keys(&:to_s).merge("aud" => "portal", "sub" => customer, "exp" => Time.now.to_i + seconds)
  body = "#{encoded.('{"alg":"HS256","typ":"JWT"}')}.#{encoded.(JSON.generate(claims))}"
  "#{body}.#{encoded.(OpenSSL::HMAC.digest('SHA256', link_secret, body))}"
end
