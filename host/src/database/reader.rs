//! Reading big-endian bytes that a server sent, without ever trusting their lengths.

/// The bytes ended early, or weren't what the format allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent {0}")]
pub struct Malformed(pub &'static str);

const SHORT: Malformed = Malformed("fewer bytes than the value needs");

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*bytes)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// A value with its length before it; a length of -1 is NULL.
    pub fn nullable(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed("a negative length"))?;
                self.bytes(length).map(Some)
            }
        }
    }

    /// Text that ends with a zero byte, which is not part of it.
    pub fn cstr(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(SHORT)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Ok(text)
    }

    pub fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed("more bytes than the value needs"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut reader = Reader::new(&[0, 0, 0, 9, 1]);
        assert_eq!(reader.nullable(), Err(SHORT));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xfe]).nullable(),
            Err(Malformed("a negative length"))
        );
        assert_eq!(Reader::new(b"abc").cstr(), Err(SHORT));
        assert_eq!(Reader::new(&[1]).i16(), Err(SHORT));
    }

    #[test]
    fn what_is_there_is_read_in_order() {
        let mut reader = Reader::new(b"\xff\xff\xff\xff\0\0\0\x02hiyou\0");
        assert_eq!(reader.nullable(), Ok(None));
        assert_eq!(reader.nullable(), Ok(Some(&b"hi"[..])));
        assert_eq!(reader.cstr(), Ok(&b"you"[..]));
        assert_eq!(reader.end(), Ok(()));
    }
}
