//! Cutting what is to be published into requests.

/// Bytes of one request, at most, unless a single item is larger. Leaves room for framing below
/// the network's 25 MiB.
const MOST_BYTES: usize = 24 << 20;

/// Cuts `items` into batches of at most `most` items and [`MOST_BYTES`], in order.
pub(super) fn batches<T>(
    items: Vec<T>,
    most: usize,
    size: impl Fn(&T) -> usize,
) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![items.next()?];
        let mut bytes = size(&batch[0]);
        while batch.len() < most {
            let fits = |item: &T| bytes + size(item) <= MOST_BYTES;
            let Some(item) = items.next_if(fits) else {
                break;
            };
            bytes += size(&item);
            batch.push(item);
        }
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_count_and_bytes_and_keep_the_order() {
        let cut = |items: Vec<usize>, most| batches(items, most, |size| *size).collect::<Vec<_>>();
        assert_eq!(cut(vec![], 2), Vec::<Vec<usize>>::new());
        assert_eq!(cut(vec![1, 2, 3], 2), [vec![1, 2], vec![3]]);
        let half = MOST_BYTES / 2;
        assert_eq!(cut(vec![half, half, 1], 9), [vec![half, half], vec![1]]);
        let huge = MOST_BYTES + 1;
        assert_eq!(cut(vec![1, huge, 1], 9), [vec![1], vec![huge], vec![1]]);
    }
}
