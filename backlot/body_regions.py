"""Which of SCHP's labels make the regions of a body mask."""

#: By region, labels of the ATR data set: 4 upper clothes, 5 skirt, 6 trousers, 7 dress. A dress is in both.
REGIONS: dict[str, tuple[int, ...]] = {"upper": (4, 7), "lower": (5, 6, 7)}

#: The picture of all labels.
SEG_MAP = "seg_map"

#: What the mask asset service calls the files, behind the job's id.
FILE_NAMES = {"upper": "upper_body_mask.png", "lower": "lower_body_mask.png", SEG_MAP: "seg_map.png"}
