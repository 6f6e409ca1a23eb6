//! Keys and tokens made with OpenSSL. The private keys are gone: nothing here can sign.
//! Claims: `{"sub":"u1","tenant_id":"acme","role":"admin","exp":4102444800}`.

pub(super) const RS256_TOKEN: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSIsInRlbmFudF9pZCI6ImFjbWUiLCJyb2xlIjoiYWRtaW4\
iLCJleHAiOjQxMDI0NDQ4MDB9.qyVlQGadjAw2Mm8N_SGHvpEeRWb7zGUAVLKR8ROScysq4D9qPUeUjxDaxw-LtGiCy2sgzi\
NYRdf5GovCyXehvaG6dJpvwUYzm_nAx0e0B9mu2oLfKfZqvOWsa9w9n89Iwco2OORhLsjAdxFcemlJSuIEV4cqg83lYaiTIG\
zXloV-S3T0cfIrMPQdxH5Q5gbPQ4GIAcd_rGvr-Zgjv-F7nCcfIyYwk3ubmw3-\
LkLH9iWzALr10J0bOSYkgD3atne4j1unIO7hjJAmUz5QPzRdFmuggePxtgvxUYnuQuZuV5VCWl2J_w3XJaVXuXpZfy-\
_0DyQPy8Xjaw2Ho4USJ7LBg";
pub(super) const RS256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA9aJ5rklV7LeXTU1jMj7m\n\
o/VtAKq/+/s8a3ppBySZsrsJbqHwmbNP2Pe0fFLdFyGqKM172c/ZGquE5T3FNuuK\n\
/Xj5Y4SuxqFog1RMt+0jjVaf5pGNKK1o6TXtNOr4Y6fiZq1GczTVCnRJ/iYDcQt1\n\
PapKkZN2wuaNMGuviyEKDEEomg4I+AI5OrhiJB9tdyBLRH10AmiAgwksBodUhm67\n\
SJ5GR6tZsIriie6N0biemAEqCt8OoNczV1fGfw/B7DJ7kXdE9FvuYKGbCurNg6NI\n\
lDaOJnAycWbE52UUtEtOGSjR7Qk4bjcQcBYDNGzH8HjKgCipmacXFya/xStJLz2o\n\
2wIDAQAB\n\
-----END PUBLIC KEY-----";

pub(super) const ES256_TOKEN: &str = "\
eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSIsInRlbmFudF9pZCI6ImFjbWUiLCJyb2xlIjoiYWRtaW4\
iLCJleHAiOjQxMDI0NDQ4MDB9.3qdgQGDHFLv5MzuS7EQN-l3f0v49EZsOREeg4MHFX4jsDuF25R3WDsJGg-\
FE7Aeboss2bR-Akm0kgXLkGpambw";
pub(super) const ES256_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAhkYwkzuMfEOqWe99l2znTeysV++\n\
0OO0y2+8OGgCQUt+I2DwwZM1yQkcXOpAgKi0rev/n2RJBq7Uuy1XWwRclw==\n\
-----END PUBLIC KEY-----";

pub(super) const EDDSA_TOKEN: &str = "\
eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1MSIsInRlbmFudF9pZCI6ImFjbWUiLCJyb2xlIjoiYWRtaW4\
iLCJleHAiOjQxMDI0NDQ4MDB9.jeImVacP31rk2pf-pRKVK-\
FkjjXJ8YvUIKrW81b09coIzwEzRpaojJoul87PlGe_sqW7iZReEkmhD4cYd-j_Bg";
pub(super) const EDDSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MCowBQYDK2VwAyEAGShj6wdg3GrcXN4LlsLG+bQkVD75ikx2ZPlByyJq6vY=\n\
-----END PUBLIC KEY-----";

pub(super) const RS256_TOKEN_K1: &str = "\
eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJzdWIiOiJ1MSIsInRlbmFudF9pZCI6ImFjbWUiLCJy\
b2xlIjoiYWRtaW4iLCJleHAiOjQxMDI0NDQ4MDB9.m-OmVV_AieUXZXexLOq8lUWZLuv2vUqAJCuOt2ld75XGsOIY-\
7tpoeB3i_hpa7CLlyrpMin3_ZbJ3wtG0HFjx0Tm6gsYBa641UbBrYNHCf2vR11nTK0kYNYzRY08ppbAQu0meQIuOrYJrWqPr\
8MV98gbhq1uhczX4hMpvtjnd1hOkbTBuXRVViIPVF1CZchNxNSDgsHVAwDrDItWrpUO552ji0cS8hQlhcY4NKaeKgXuxyK-\
3SOy03Hu1lYjx3o_lxC9nt4SYAzb0PvxEa5Yknw2V6nYqCcHV7rizqQlOMJVxcmfPZq9pkKLeg9cLCgVlz7myrZFXQbyaMKO\
NaYedw";
pub(super) const RS256_MODULUS: &str = "\
9aJ5rklV7LeXTU1jMj7mo_VtAKq_-_s8a3ppBySZsrsJbqHwmbNP2Pe0fFLdFyGqKM172c_ZGquE5T3FNuuK_Xj5Y4SuxqFo\
g1RMt-0jjVaf5pGNKK1o6TXtNOr4Y6fiZq1GczTVCnRJ_iYDcQt1PapKkZN2wuaNMGuviyEKDEEomg4I-\
AI5OrhiJB9tdyBLRH10AmiAgwksBodUhm67SJ5GR6tZsIriie6N0biemAEqCt8OoNczV1fGfw_B7DJ7kXdE9FvuYKGbCurNg\
6NIlDaOJnAycWbE52UUtEtOGSjR7Qk4bjcQcBYDNGzH8HjKgCipmacXFya_xStJLz2o2w";
