"""PutObject, GetObject, HeadObject, DeleteObject as a client sees them."""


def test_what_is_put_is_got(s3, bucket):
    put = s3("PUT", "/bucket/a/b", b"hello", content_type="text/plain", x_amz_meta_color="blue")
    assert (put.status, put.headers["etag"]) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    got = s3("GET", "/bucket/a/b")
    assert (got.status, got.body) == (200, b"hello")
    assert got.headers == {
        "etag": '"5d41402abc4b2a76b9719d911017c592"',
        "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT",
        "accept-ranges": "bytes",
        "content-type": "text/plain",
        "x-amz-meta-color": "blue",
    }
    head = s3("HEAD", "/bucket/a/b")
    assert (head.status, head.body, head.reply.length, head.headers) == (200, b"", 5, got.headers)
