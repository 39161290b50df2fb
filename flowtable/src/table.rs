//! The flow table: one region, two tables of pairs.

use std::sync::{Arc, OnceLock};

use crate::adopt::{All, Judge};
use crate::counting::{Counter, Sections};
use crate::free::Free;
use crate::key::Secrets;
use crate::layout::{Parts, is_sealed, read_header, seal_header, unwrite_header, write_header};
use crate::pairs::Pairs;
use crate::region::{LINE, Line, Part, Region};
use crate::{AdoptError, Adopted, Config, LayoutError};

/// A concurrent flow table in one region. Any thread may use it at any time; nothing in it ever stops all of them.
pub struct FlowTable {
    region: Arc<Region>,
    config: Config,
    narrow: Pairs<2>,
    wide: Pairs<5>,
    sections: Arc<Sections>,
    adopted: OnceLock<Adopted>,
}

impl FlowTable {
    /// Lays out an empty table in `region`, whatever was in it, and writes its header.
    ///
    /// Errors: [`LayoutError::TooManyPairs`], [`LayoutError::RegionTooSmall`].
    pub fn create(mut region: Region, config: &Config) -> Result<FlowTable, LayoutError> {
        let needed = config.bytes()?;
        if region.bytes() < needed {
            return Err(LayoutError::RegionTooSmall { needed, given: region.bytes() });
        }
        region.clear();
        let table = FlowTable::open(region, config)?;
        table.narrow.free.reset();
        table.wide.free.reset();
        write_header(&table.region, config);
        Ok(table)
    }

    /// Takes over a table that another process (or another region, copied) left. Locks are cleared; pairs that a killed writer
    /// left half written, or whose words do not belong together, are dropped and counted. All others are there with their counters; what
    /// their stamps, next hops and verdicts are worth is for the caller to judge before it uses them. Only while nobody else uses the region.
    ///
    /// Errors: the header is not one of ours.
    pub fn adopt(region: Region) -> Result<FlowTable, AdoptError> {
        FlowTable::adopt_by(region, &All)
    }

    /// The same with a judge of pairs. While it is at work the region holds no table: a process that is killed then leaves nothing that
    /// could be taken for one, half of whose pairs have other keys.
    pub fn adopt_by(region: Region, judge: &impl Judge) -> Result<FlowTable, AdoptError> {
        let table = FlowTable::lent(region)?;
        table.take_over(judge, false)?;
        Ok(table)
    }

    /// A table that another process uses yet: of no use before [`FlowTable::take_over`].
    ///
    /// Errors: the header is not one of ours.
    pub fn lent(region: Region) -> Result<FlowTable, AdoptError> {
        let config = read_header(&region)?;
        FlowTable::open(region, &config).map_err(AdoptError::Sizes)
    }

    /// Takes over a lent table that nobody else uses any more, once. With `keys_stay` the judge changes no key: what was sealed is then gone
    /// through as it is, without making anything anew, which takes a fraction of the time.
    ///
    /// Errors: the header is not what it was.
    pub fn take_over(&self, judge: &impl Judge, keys_stay: bool) -> Result<Adopted, AdoptError> {
        if read_header(&self.region)? != self.config {
            return Err(AdoptError::Header);
        }
        let sealed = keys_stay && is_sealed(&self.region);
        unwrite_header(&self.region);
        let narrow = if sealed { self.narrow.refresh(&|pair| judge.narrow(pair)) } else { None };
        let wide = if sealed { self.wide.refresh(&|pair| judge.wide(pair)) } else { None };
        let narrow = narrow.unwrap_or_else(|| self.narrow.rebuild(&|pair| judge.narrow(pair)));
        let wide = wide.unwrap_or_else(|| self.wide.rebuild(&|pair| judge.wide(pair)));
        // once
        _ = (self.narrow.odd_dropped.set(narrow.damaged()), self.wide.odd_dropped.set(wide.damaged()));
        _ = self.adopted.set(narrow.with(wide));
        write_header(&self.region, &self.config);
        Ok(narrow.with(wide))
    }

    /// Nobody uses it any more, and nobody was ended while he did: whoever takes it over next finds it whole. Only when that is so.
    pub fn seal(&self) {
        seal_header(&self.region, &self.config);
    }

    /// What a table in this region was created with, if there is one that can be adopted.
    pub fn config_of(region: &Region) -> Result<Config, AdoptError> {
        read_header(region)
    }

    /// What became of the pairs that the region held; `None`: the table was created empty.
    pub fn adopted(&self) -> Option<Adopted> {
        self.adopted.get().copied()
    }

    /// The lines of the region behind the table, which are the caller's.
    pub fn spare(&self) -> &[Line] {
        let table = self.config.bytes().map_or(usize::MAX, |bytes| bytes / LINE);
        self.region.lines().get(table..).unwrap_or_default()
    }

    /// Pairs with narrow keys.
    #[inline(always)]
    pub fn narrow(&self) -> &Pairs<2> {
        &self.narrow
    }

    /// Pairs with wide keys.
    #[inline(always)]
    pub fn wide(&self) -> &Pairs<5> {
        &self.wide
    }

    /// A counter for a thread that counts packets. Not on a worker: it allocates.
    pub fn counter(&self) -> Counter {
        Counter::new(&self.sections)
    }

    /// What the region was created with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The memory that the table lives in.
    pub fn region(&self) -> &Region {
        &self.region
    }

    fn open(region: Region, config: &Config) -> Result<FlowTable, LayoutError> {
        let region = Arc::new(region);
        let secrets = Secrets::new(config.seed);
        let sections = Sections::new();
        let narrow = Pairs::open(&region, config.narrow(), secrets, &sections)?;
        let wide = Pairs::open(&region, config.wide(), secrets, &sections)?;
        Ok(FlowTable { region, config: *config, narrow, wide, sections, adopted: OnceLock::new() })
    }
}

impl<const K: usize> Pairs<K> {
    pub(crate) fn open(
        region: &Arc<Region>,
        parts: Parts,
        secrets: Secrets,
        sections: &Arc<Sections>,
    ) -> Result<Pairs<K>, LayoutError> {
        let too_small = LayoutError::RegionTooSmall { needed: parts.end() * 64, given: region.bytes() };
        let part = |range| Part::new(region, range).ok_or(too_small);
        let free = Free { pairs: parts.pairs, stripes: part(parts.stripes)?, cold: part(parts.cold)? };
        let (buckets, entries) = (part(parts.buckets)?, part(parts.entries)?);
        Ok(Pairs { secrets, free, buckets, entries, sections: Arc::clone(sections), odd_dropped: OnceLock::new() })
    }
}
